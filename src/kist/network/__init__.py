"""Bridge networks: what they look like (plan, firewall; pure) and how they come into the kernel (apply)."""
