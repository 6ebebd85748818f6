"""The codes of all findings, in the order in which they are told, and what each is about."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

ABOUT: "Mapping[str, str]" = {
    "kernel": "Kist needs a Linux that is new enough.",
    "chroot": "In a chroot containers could reach what is outside of it.",
    "userns": "An ordinary user's engine is root of a user namespace; root's containers may have one each.",
    "proc": "Each container has a /proc of its own processes.",
    "subids": "Subordinate ids are the other users and groups of an ordinary user's containers.",
    "newuidmap": "newuidmap and newgidmap hand the subordinate ids to the engine.",
    "owners": "Files of an ordinary user's images are of many users, who are subordinate ids.",
    "mapped-mounts": "With --userns auto, files keep their owners on the disk and have others in the container.",
    "data-root": "Images, volumes and what containers have written.",
    "run-root": "What an engine and its containers need while they run.",
    "overlay": "A container's files are the layers of its image, stacked by overlayfs, or a copy.",
    "xattrs": "Extended attributes of files say what a layer replaces, and owners that the disk cannot hold.",
    "reflink": "A file system that shares blocks copies files at once.",
    "loop": "A limit on what a container may write (--storage-opt size=) is a disk of its own, in a file.",
    "exec": "Programs in volumes are executed from the data root's file system.",
    "space": "Room on the disk.",
    "inodes": "Room for files: many file systems have a limit on their number.",
    "cgroups": "Control groups limit and measure what a container uses.",
    "seccomp": "Containers may make only the system calls that programs need.",
    "lsm": "Security modules of the kernel confine programs beside all that Kist does.",
    "bridge": "A bridge connects containers with each other and with what is outside.",
    "nftables": "Packet rules give what leaves a bridge the host's address, and protect the containers.",
    "forwarding": "A packet leaves a bridge, or comes back, where no firewall of the host drops what is forwarded.",
    "pasta": "pasta connects an ordinary user's bridges with what is outside.",
    "slirp4netns": "slirp4netns does the work of pasta where that is not installed, or is from before 2024.",
    "tun": "By /dev/net/tun, programs make network devices.",
    "low-ports": "Ports that only root may have unless the kernel is told otherwise.",
    "ping": "The groups whose members may send echo requests.",
    "fuse": "By /dev/fuse, programs are file systems.",
    "python": "Every command, and the engine, is started and run by this Python.",
    "clock": "Signatures and certificates are compared with the time.",
    "settings": "engine.toml is what the administrator, or the user, sets for all containers.",
    "engine": "The engine does the work of all commands.",
    "dns": "Name servers are asked for the addresses of mirrors.",
    "mirrors": "kist bootstrap takes packages from a mirror of the distribution.",
}
