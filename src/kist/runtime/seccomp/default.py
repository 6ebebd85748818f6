"""The profile of a container that asks for none.

It refuses what containers do not need and what has opened the way out of them before: new namespaces and mounts,
kernel modules and keyrings, io_uring, userfaultfd, raw clocks. It allows no more than Docker's default profile does;
where that compares all 64 bits of an argument of which the kernel reads 32, this one looks at those 32.
"""

from kist.runtime.seccomp.profile import ALLOW, Comparison, Profile, Rule, errno_action

_EPERM, _ENOSYS = 1, 38
# Address families (linux/socket.h) that Docker refuses: DECnet, key management's forerunners and others of the past
# (12, 19, 20, 23, 25, 34, 37), ALG, which reaches the kernel's crypto code, VSOCK, which reaches the host of a virtual
# machine past its network, and all that came after.
_REFUSED_FAMILIES = (12, 19, 20, 23, 25, 34, 37, 38, 40)
_FIRST_NEW_FAMILY = 46
_INT = 0xFFFFFFFF
# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. (NEWTIME shares its bit with the exit signal: clone
# does not read it as a flag.)
_NEW_NAMESPACES = 0x7E020000
# PER_LINUX, PER_LINUX32, each without and with UNAME26; and the value that only asks.
_PERSONALITIES = (0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)

_FILES = """
    access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2
    fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync
    flock fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64
    ioctl lchown lchown32 link linkat listmount _llseek lseek lstat lstat64 mkdir mkdirat mknod mknodat
    name_to_handle_at newfstatat open openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead
    readlink readlinkat readv rename renameat renameat2 rmdir sendfile sendfile64 splice stat stat64 statfs statfs64
    statmount statx symlink symlinkat sync sync_file_range syncfs tee truncate truncate64 umask unlink unlinkat utime
    utimensat utimensat_time64 utimes vmsplice write writev
"""
_EXTENDED_ATTRIBUTES = """
    fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr listxattrat llistxattr
    lremovexattr lsetxattr removexattr removexattrat setxattr setxattrat
"""
_EVENTS = """
    epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd
    eventfd2 fanotify_mark inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy
    io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit _newselect pipe pipe2 poll ppoll ppoll_time64
    pselect6 pselect6_time64 select signalfd signalfd4
"""
_MEMORY = """
    brk cachestat madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap
    mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect process_mrelease
    remap_file_pages
"""
_PROCESSES = """
    execve execveat exit exit_group fork get_robust_list get_thread_area getpgid getpgrp getpid getppid getsid gettid
    pidfd_open pidfd_send_signal prctl restart_syscall rseq set_robust_list set_thread_area set_tid_address setpgid
    setsid uretprobe vfork wait4 waitid waitpid
"""
# A tracer cannot get past the filter: since Linux 4.8 the kernel asks the filter again after the tracer had its say.
_TRACING = "process_vm_readv process_vm_writev ptrace"
_IDENTITY = """
    capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32
    getresuid getresuid32 getuid getuid32 landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp
    setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setregid setregid32 setresgid
    setresgid32 setresuid setresuid32 setreuid setreuid32 setuid setuid32
"""
_SIGNALS = """
    kill pause rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
    rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack sigprocmask sigreturn tgkill tkill
"""
_TIME = """
    adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
    clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create timer_delete
    timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime
    timerfd_gettime64 timerfd_settime timerfd_settime64 times
"""
_SCHEDULING_AND_LIMITS = """
    getcpu getpriority getrlimit getrusage ioprio_get ioprio_set prlimit64 sched_get_priority_max
    sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval
    sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield
    setpriority setrlimit ugetrlimit
"""
_LOCKS_AND_QUEUES = """
    futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake ipc mq_getsetattr mq_notify mq_open
    mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd
    semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget
"""
# socketcall is the old door to all of these on 32-bit x86, and the C library there still goes through it. A filter
# cannot see the address family behind its pointer.
_SOCKETS = """
    accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64
    recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair
"""
_SYSTEM = "getrandom riscv_hwprobe sysinfo uname"

_ALWAYS = (
    _FILES,
    _EXTENDED_ATTRIBUTES,
    _EVENTS,
    _MEMORY,
    _PROCESSES,
    _TRACING,
    _IDENTITY,
    _SIGNALS,
    _TIME,
    _SCHEDULING_AND_LIMITS,
    _LOCKS_AND_QUEUES,
    _SOCKETS,
    _SYSTEM,
)

_ON_ARCHITECTURES = (
    (("amd64",), "arch_prctl modify_ldt"),
    (("386",), "modify_ldt"),
    (("arm", "arm64"), "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2"),
    (("riscv64",), "riscv_flush_icache"),
    (("ppc64le",), "swapcontext sync_file_range2"),
    (("s390x",), "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr"),
)

# Who holds the capability may do more harm by other ways already; the kernel asks for it in each of these.
_WITH_CAPABILITIES = {
    "CAP_SYS_ADMIN": """
        bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules
        lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname
        sethostname setns syslog umount umount2 unshare
    """,
    "CAP_BPF": "bpf",
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_PERFMON": "perf_event_open",
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module finit_module init_module",
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": "kcmp pidfd_getfd process_madvise",
    "CAP_SYS_RAWIO": "ioperm iopl",
    "CAP_SYS_TIME": "clock_settime clock_settime64 settimeofday stime",
    "CAP_SYS_TTY_CONFIG": "vhangup",
    "CAP_SYSLOG": "syslog",
}


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _int_equals(index: int, value: int) -> tuple[Comparison, ...]:
    return (Comparison(index, "masked", value, mask=_INT),)


DEFAULT = Profile(
    default=errno_action(_EPERM),
    unknown=errno_action(_ENOSYS),
    rules=(
        *(Rule(_names(group), ALLOW) for group in _ALWAYS),
        *(Rule(_names(group), ALLOW, architectures=where) for where, group in _ON_ARCHITECTURES),
        *(Rule(_names(group), ALLOW, with_capabilities=(name,)) for name, group in _WITH_CAPABILITIES.items()),
        *(Rule(("socket",), errno_action(_EPERM), arguments=_int_equals(0, family)) for family in _REFUSED_FAMILIES),
        Rule(("socket",), errno_action(_EPERM), arguments=(Comparison(0, "ge", _FIRST_NEW_FAMILY),)),
        Rule(("socket",), ALLOW),
        *(Rule(("personality",), ALLOW, arguments=_int_equals(0, value)) for value in _PERSONALITIES),
        # With CAP_SYS_ADMIN the rule above has allowed both already.
        Rule(
            ("clone",),
            ALLOW,
            arguments=(Comparison(0, "masked", 0, mask=_NEW_NAMESPACES),),
            except_architectures=("s390x",),
        ),
        Rule(
            ("clone",),
            ALLOW,
            arguments=(Comparison(1, "masked", 0, mask=_NEW_NAMESPACES),),
            architectures=("s390x",),
        ),
        # Its flags are behind a pointer, out of a filter's sight. ENOSYS makes the C library take clone.
        Rule(("clone3",), errno_action(_ENOSYS)),
    ),
)
