"""Layers and archives of images: tar to file trees and back, docker-save and OCI layout (ring 1)."""
