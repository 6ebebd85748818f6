"""Attacks of test_escapes.py: what programs in a container try. They are Python, after the prelude there."""

# What no container may call, with arguments that would work.
CALLS = {
    "mounting": """
attempt('mount', b'none', b'/tmp', b'tmpfs', 0, 0)
attempt('mount', b'none', b'/tmp', b'proc', 0, 0)
attempt('mount', b'none', b'/proc/sys', 0, 32 | 4096, 0)
attempt('mount', b'/', b'/tmp', 0, 4096, 0)
""",
    "unmounting what hides": """
for path in (b'/proc/kcore', b'/proc/sys', b'/sys/firmware', b'/proc/timer_list', b'/sys/fs/cgroup', b'/'):
    attempt('umount2', path, 0); attempt('umount2', path, 2)
""",
    "the newer interface of mounts": """
attempt('fsopen', b'tmpfs', 0); attempt('open_tree', -100, b'/', 1)
attempt('move_mount', -100, b'/tmp', -100, b'/mnt', 0)
attempt('mount_setattr', -100, b'/proc/sys', 0, ctypes.create_string_buffer(32), 32)
attempt('fspick', -100, b'/', 0)
""",
    "pivot_root and chroot": """
os.makedirs('/tmp/a', exist_ok=True)
attempt('pivot_root', b'/tmp', b'/tmp/a')
root = os.open('/', os.O_RDONLY)
if call('chroot', b'/tmp/a') is not None:
    os.fchdir(root)
    for _ in range(64): os.chdir('..')
    call('chroot', b'.')
    if os.path.exists('/proc/1/root') and not os.path.exists('/bin/busybox'): out('another root')
""",
    "new namespaces": """
for flag in (0x10000000, 0x20000, 0x20000000, 0x40000000, 0x8000000, 0x4000000, 0x2000000, 0x80):
    attempt('unshare', flag)
""",
    "clone into a user namespace": """
for extra in (0x10000000, 0x10000000 | 0x20000, 0x40000000):
    pid = call('clone', extra | 17, 0, 0, 0, 0)
    if pid == 0: os._exit(0)
    if pid: out('clone', hex(extra))
attempt('clone3', ctypes.create_string_buffer(88), 88)
""",
    "setns to what is in sight": """
for pid in ('1', 'self'):
    for kind in ('user', 'mnt', 'net', 'pid', 'ipc', 'uts', 'cgroup'):
        f = os.open(f'/proc/{pid}/ns/{kind}', os.O_RDONLY)
        attempt('setns', f, 0); os.close(f)
""",
    "keyrings": """
attempt('keyctl', 0, -3, 1); attempt('keyctl', 1, 0); attempt('add_key', b'user', b'k', b'x', 1, -3)
attempt('request_key', b'user', b'k', 0, -3)
""",
    "bpf, perf, userfaultfd, io_uring": """
attempt('bpf', 0, ctypes.create_string_buffer(128), 128); attempt('userfaultfd', 0)
attempt('io_uring_setup', 1, ctypes.create_string_buffer(128))
buffer = ctypes.create_string_buffer(128); buffer[4] = 128
attempt('perf_event_open', buffer, 0, -1, -1, 0)
""",
    "open_by_handle_at": """
import struct
handle = struct.pack('IiQ', 8, 1, 2)  # ext4's root directory: inode 2
for place in ('/etc/hosts', '/', '/etc/resolv.conf'):
    f = os.open(place, os.O_RDONLY)
    attempt('open_by_handle_at', f, ctypes.create_string_buffer(handle, len(handle)), 0)
""",
    "kernel modules, kexec, reboot": """
attempt('init_module', b'', 0, b''); attempt('finit_module', 0, b'', 0); attempt('delete_module', b'dummy', 0)
attempt('kexec_load', 0, 0, 0, 0); attempt('kexec_file_load', -1, -1, 0, b'', 0)
attempt('reboot', 0xfee1dead, 672274793, 0x01234567, 0)
""",
    "clocks, swap, accounting, raw I/O": """
attempt('settimeofday', ctypes.create_string_buffer(16), 0)
attempt('clock_settime', 0, ctypes.create_string_buffer(16))
attempt('swapon', b'/dev/zero', 0); attempt('swapoff', b'/'); attempt('acct', b'/tmp/x')
attempt('iopl', 3); attempt('ioperm', 0, 1, 1); attempt('syslog', 3, ctypes.create_string_buffer(64), 64)
attempt('sethostname', b'x', 1); attempt('quotactl', 0x800002, b'/dev/vda', 0, 0)
attempt('lookup_dcookie', 1, ctypes.create_string_buffer(64), 64); attempt('vhangup')
""",
}

# What is the machine's, in /proc, /sys, the cgroups and /dev.
FILES = {
    "programs that the kernel starts": """
for path in ('/proc/sys/kernel/core_pattern', '/proc/sys/kernel/modprobe', '/proc/sys/kernel/poweroff_cmd',
             '/sys/kernel/uevent_helper', '/proc/sys/fs/binfmt_misc/register', '/proc/sys/kernel/hotplug',
             '/proc/sysrq-trigger', '/proc/sys/kernel/usermodehelper/bset'):
    writes(path); writes(path, flags=os.O_RDWR)
""",
    "all of /proc/sys": """
for above, _, names in os.walk('/proc/sys'):
    for name in names: writes(f'{above}/{name}')
""",
    "the top of /proc": """
for above in ('/proc', '/proc/bus', '/proc/irq', '/proc/fs', '/proc/driver', '/proc/tty', '/proc/acpi', '/proc/scsi'):
    for name in (os.listdir(above) if os.path.isdir(above) else ()):
        path = f'{above}/{name}'
        if os.path.isfile(path) and not os.path.islink(path): writes(path, data=b'x')
""",
    "what is hidden": """
for name in ('kcore', 'keys', 'timer_list', 'sched_debug', 'interrupts', 'latency_stats'):
    path = f'/proc/{name}'
    try:
        if os.path.exists(path) and open(path, 'rb').read(16): out('read', path)
    except OSError: pass
for path in ('/sys/firmware', '/proc/scsi', '/proc/acpi', '/sys/devices/virtual/powercap'):
    if os.path.isdir(path) and os.listdir(path): out('listed', path)
""",
    "all of /sys": """
tried = 0
for above, directories, names in os.walk('/sys'):
    for name in names:
        tried += 1
        if tried < 20000: writes(f'{above}/{name}')
""",
    "its own cgroup and others": """
for above, _, names in os.walk('/sys/fs/cgroup'):
    for name in names: writes(f'{above}/{name}')
    try:
        os.mkdir(f'{above}/more'); out('made a cgroup in', above)
    except OSError: pass
    if os.path.exists(f'{above}/release_agent'): out('release_agent in sight')
""",
    "disks and memory": """
import stat
BLOCK, CHARACTER = stat.S_IFBLK, stat.S_IFCHR
for kind, major, minor, name in (
    (BLOCK, 254, 0, 'vda'), (BLOCK, 8, 0, 'sda'), (BLOCK, 259, 0, 'nvme'), (BLOCK, 7, 0, 'loop'),
    (CHARACTER, 1, 1, 'mem'), (CHARACTER, 1, 4, 'port'), (CHARACTER, 1, 11, 'kmsg'), (CHARACTER, 4, 0, 'tty0'),
    (CHARACTER, 10, 237, 'loop-control'), (CHARACTER, 10, 229, 'fuse'), (CHARACTER, 10, 232, 'kvm'),
):
    try: os.mknod(f'/tmp/{name}', 0o666 | kind, os.makedev(major, minor))
    except OSError: continue
    for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR):
        try:
            os.open(f'/tmp/{name}', flags | os.O_NONBLOCK); out('opened', name)
        except OSError: pass
usual = 'fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero'
usual += ' apt.conf' if os.environ.get('APT_CONFIG') == '/dev/apt.conf' else ''  # a file of ours, with one id
if set(os.listdir('/dev')) - set(usual.split()): out('more in /dev', os.listdir('/dev'))
""",
    "the caller's terminal": """
import fcntl, termios
for path in ('/dev/tty', '/dev/console'):
    try:
        f = os.open(path, os.O_RDWR); out('opened', path)
    except OSError: continue
for f in range(3):
    try:
        fcntl.ioctl(f, termios.TIOCSTI, b'x'); out('pushed a character into', f)
    except OSError: pass
""",
    "descriptors": """
for pid in ('self', '1'):
    for name in os.listdir(f'/proc/{pid}/fd'):
        try: to = os.readlink(f'/proc/{pid}/fd/{name}')
        except OSError: continue
        if int(name) > 2 and not to.startswith('/proc/'): out('descriptor', pid, name, to)
        if int(name) <= 2 and not (to.startswith('pipe:') or to == '/dev/null'): out('stream', pid, name, to)
        try:
            place = f'/proc/{pid}/fd/{name}'
            if os.path.isdir(place) and os.stat(f'{place}/..').st_dev != os.stat('/proc').st_dev: out('a way up', name)
        except OSError: pass
""",
}

# In a user namespace of its own even all capabilities and no filter lead nowhere.
UNFILTERED = {
    "release_agent": """
os.makedirs('/tmp/cg', exist_ok=True)
for controller in (b'memory', b'rdma', b'devices', b'pids', b'cpu', b'freezer', b'blkio'):
    if call('mount', b'cgroup', b'/tmp/cg', b'cgroup', 0, controller) is not None:
        writes('/tmp/cg/release_agent'); call('umount2', b'/tmp/cg', 2)
""",
    "a fresh proc without masks": """
os.makedirs('/tmp/p', exist_ok=True)
if call('mount', b'proc', b'/tmp/p', b'proc', 0, 0) is not None:
    for name in ('sysrq-trigger', 'sys/kernel/core_pattern', 'sys/kernel/modprobe', 'sys/vm/drop_caches'):
        writes('/tmp/p/' + name)
    try:
        if open('/tmp/p/kcore', 'rb').read(1): out('kcore')
    except OSError: pass
""",
    "unmounting the masks": """
for path in (b'/proc/kcore', b'/proc/sys', b'/sys', b'/sys/fs/cgroup', b'/proc/keys'):
    call('umount2', path, 2)
call('mount', b'none', b'/sys', 0, 32 | 4096, 0); call('mount', b'none', b'/proc/sys', 0, 32 | 4096, 0)
for path in ('/proc/sys/kernel/core_pattern', '/sys/kernel/uevent_helper', '/proc/sys/kernel/modprobe'): writes(path)
for above, _, names in os.walk('/sys/kernel'):
    for name in names: writes(f'{above}/{name}')
""",
    "the host's file systems": """
import struct
for disk in (b'/dev/vda', b'/dev/sda'): attempt('mount', disk, b'/mnt', b'ext4', 0, 0)
handle = struct.pack('IiQ', 8, 1, 2)
for place in ('/etc/hosts', '/', '/bin'):
    f = os.open(place, os.O_RDONLY)
    attempt('open_by_handle_at', f, ctypes.create_string_buffer(handle, len(handle)), 0)
try:
    os.mknod('/tmp/disk', 0o660 | 0o060000, os.makedev(254, 0)); out('mknod')
except OSError: pass
""",
    "modules, bpf, clocks": """
attempt('init_module', b'', 0, b''); attempt('reboot', 0xfee1dead, 672274793, 0, 0)
attempt('bpf', 0, ctypes.create_string_buffer(128), 128); attempt('settimeofday', ctypes.create_string_buffer(16), 0)
attempt('iopl', 3); attempt('swapon', b'/dev/zero', 0); attempt('kexec_load', 0, 0, 0, 0)
attempt('syslog', 3, ctypes.create_string_buffer(64), 64)
""",
    "ids outside of the range": """
for uid in (65536, 4294967294, 2147483647):
    try:
        os.setresuid(uid, uid, uid); out('became', uid)
    except OSError: pass
try:
    os.chown('/tmp', 70000, 70000); out('gave away')
except OSError: pass
""",
}
