"""Networks: what they look like (addresses, plan, firewall, files; pure), and how they come into the kernel."""
