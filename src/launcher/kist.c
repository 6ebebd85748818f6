/*
 * The program `kist`, as far as it needs no Python: `kist exec CONTAINER COMMAND...`, written without options.
 *
 * An interpreter takes longer to start than the engine takes to execute a command in a container. So this program
 * asks the engine and passes the output on. All else is for the program in Python, `kist-python` beside it, which it
 * becomes: every other command line, everything that is odd, and every answer but the one that is hoped for. Such an
 * answer stays unread, and goes with the connection. What is written here is written in Python too, in
 * `kist/cli/ahead.py`, which does the work where this was not compiled; docs/decisions/0065 says why.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { STDERR = 2, SYSTEM_ERROR = 3, END = 4 };    /* streams of a frame; the last is Kist's own: the exit code */
enum { FRAME_HEADER = 8 };                         /* bytes: the stream, three of no use, the payload's size */
enum { LARGEST_CONFIG = 1 << 20, BUFFER = 1 << 16 };

static const char SWITCHING[] = "HTTP/1.1 101";
static const char ID_HEADER[] = "\r\nkist-exec:";

/* ---- the program in Python ------------------------------------------------------------------------------------- */

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "kist: %s: %s\n", why, what);
    exit(1);
}

/* Become it, with `words` after the program's name and `rest` after these. */
static void become_python(char *const *words, size_t count, char *const *rest)
{
    static const char name[] = "kist-python";
    static char path[4096 + sizeof name];
    ssize_t length = readlink("/proc/self/exe", path, 4096);
    char *slash = length > 0 && length < 4096 ? memrchr(path, '/', (size_t)length) : NULL;
    if (slash == NULL)
        fail("/proc/self/exe", strerror(length < 0 ? errno : ENAMETOOLONG));
    strcpy(slash + 1, name);

    size_t others = 0;
    while (rest[others] != NULL)
        others++;
    char **argv = calloc(1 + count + others + 1, sizeof *argv);
    if (argv == NULL)
        fail("memory", strerror(errno));
    argv[0] = path;
    if (count > 0)
        memcpy(argv + 1, words, count * sizeof *argv);
    memcpy(argv + 1 + count, rest, others * sizeof *argv);
    execv(path, argv);
    fail(path, strerror(errno));
}

/* ---- where the engine is: kist/client/endpoint.py, kist/spec/roots.py ------------------------------------------- */

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value != NULL ? value : "";
}

/* Whether a text was made whole in `size` bytes. */
__attribute__((format(printf, 3, 4))) static bool print(char *text, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, size, format, arguments);
    va_end(arguments);
    return length >= 0 && (size_t)length < size;
}

/* Whether Docker's configuration may name a context. Only looked for, not understood: that is for Python. */
static bool may_have_context(void)
{
    char path[4096];
    const char *directory = variable("DOCKER_CONFIG");
    if (!(*directory ? print(path, sizeof path, "%s/config.json", directory)
                     : print(path, sizeof path, "%s/.docker/config.json", variable("HOME"))))
        return true;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    static char text[LARGEST_CONFIG];
    ssize_t length = read(file, text, sizeof text);
    close(file);
    return length < 0 || (size_t)length == sizeof text || memmem(text, (size_t)length, "currentContext", 14) != NULL ||
           memmem(text, (size_t)length, "\\u", 2) != NULL;
}

/* Whether the engine is one of Kist's that nothing but the environment and the user id name; `path` is its socket. */
static bool find_socket(char *path, size_t size)
{
    if (*variable("DOCKER_HOST") || *variable("DOCKER_CONTEXT"))
        return false;
    const char *run = variable("KIST_RUN");
    if (*run)
        return print(path, size, "%s/engine.sock", run);
    uid_t user = getuid();
    if ((user != 0 && !*variable("HOME")) || may_have_context())
        return false;
    if (user == 0)
        return print(path, size, "/run/kist/engine.sock");
    const char *place = variable("XDG_RUNTIME_DIR");
    if (*place) /* one that cannot be used counts as none, which is for Python to see */
        return access(place, W_OK | X_OK) == 0 && print(path, size, "%s/kist/engine.sock", place);
    return print(path, size, "/tmp/kist-run-%u/kist/engine.sock", (unsigned)user);
}

/* A connection to it, or -1. In /tmp anybody could have been there first: our own engine is ours, or root's. */
static int connect_engine(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!find_socket(address.sun_path, sizeof address.sun_path))
        return -1;
    int engine = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (engine < 0)
        return -1;
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (connect(engine, (struct sockaddr *)&address, sizeof address) == 0 &&
        getsockopt(engine, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && (peer.uid == 0 || peer.uid == geteuid()))
        return engine;
    close(engine);
    return -1;
}

/* ---- the request ------------------------------------------------------------------------------------------------ */

struct text {
    char *data;
    size_t length, size;
};

static bool append(struct text *text, const char *data, size_t length)
{
    if (text->size - text->length < length) {
        size_t size = (text->length + length) * 2;
        char *larger = realloc(text->data, size);
        if (larger == NULL)
            return false;
        text->data = larger;
        text->size = size;
    }
    memcpy(text->data + text->length, data, length);
    text->length += length;
    return true;
}

static bool append_string(struct text *text, const char *data)
{
    return append(text, data, strlen(data));
}

/* How many bytes the character has that begins here; 0 where it is no UTF-8 (RFC 3629, section 4). */
static size_t character(const unsigned char *at)
{
    size_t more = at[0] < 0x80 ? 0 : at[0] < 0xC2 ? 9 : at[0] < 0xE0 ? 1 : at[0] < 0xF0 ? 2 : at[0] < 0xF5 ? 3 : 9;
    if (more == 9)
        return 0;
    for (size_t i = 1; i <= more; i++)
        if ((at[i] & 0xC0) != 0x80) /* also the NUL at the end */
            return 0;
    bool overlong = (at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xF0 && at[1] < 0x90);
    bool surrogate = at[0] == 0xED && at[1] > 0x9F;
    bool beyond = at[0] == 0xF4 && at[1] > 0x8F;
    return overlong || surrogate || beyond ? 0 : 1 + more;
}

/* A JSON string; false where it is no UTF-8. */
static bool append_json(struct text *text, const char *word)
{
    const unsigned char *at = (const unsigned char *)word;
    if (!append_string(text, "\""))
        return false;
    while (*at) {
        size_t length = character(at);
        char escaped[8];
        if (length == 0)
            return false;
        if (*at < 0x20 || *at == '"' || *at == '\\') {
            snprintf(escaped, sizeof escaped, "\\u%04x", *at);
            if (!append_string(text, escaped))
                return false;
        } else if (!append(text, (const char *)at, length)) {
            return false;
        }
        at += length;
    }
    return append_string(text, "\"");
}

static bool is_plain_name(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    return *name && *name != '-' && *name != '.' && name[strspn(name, allowed)] == '\0';
}

/* The request that makes a process, starts it and attaches to it (docs/decisions/0034); false where it cannot be. */
static bool write_request(struct text *request, const char *container, char *const *command)
{
    struct text body = {0};
    bool whole = append_string(&body, "{\"Cmd\":[");
    for (size_t i = 0; whole && command[i] != NULL; i++)
        whole = (i == 0 || append_string(&body, ",")) && append_json(&body, command[i]);
    whole = whole && append_string(&body, "],\"Tty\":false,\"AttachStdin\":false,\"AttachStdout\":true,"
                                          "\"AttachStderr\":true,\"Env\":[],\"User\":\"\",\"WorkingDir\":\"\","
                                          "\"Privileged\":false}");
    char length[64];
    snprintf(length, sizeof length, "Content-Length: %zu\r\n\r\n", body.length);
    whole = whole && append_string(request, "POST /kist/containers/") && append_string(request, container) &&
            append_string(request, "/exec HTTP/1.1\r\nHost: kist\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
                                   "Content-Type: application/json\r\n") &&
            append_string(request, length) && append(request, body.data, body.length);
    free(body.data);
    return whole;
}

/* An engine that answers before it has read all has its reason, which is in the answer. */
static void send_all(int engine, const struct text *request)
{
    size_t sent = 0;
    while (sent < request->length) {
        ssize_t count = send(engine, request->data + sent, request->length - sent, MSG_NOSIGNAL);
        if (count < 0 && errno != EINTR)
            return;
        sent += count > 0 ? (size_t)count : 0;
    }
}

/* ---- the answer ------------------------------------------------------------------------------------------------- */

static ssize_t receive(int engine, char *data, size_t size)
{
    ssize_t length;
    do
        length = recv(engine, data, size, 0);
    while (length < 0 && errno == EINTR);
    return length;
}

static void write_all(int descriptor, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t count = write(descriptor, data, length);
        if (count >= 0) {
            data += count;
            length -= (size_t)count;
        } else if (errno == EAGAIN) { /* somebody else has made it so */
            poll(&(struct pollfd){.fd = descriptor, .events = POLLOUT}, 1, -1);
        } else if (errno == EPIPE) {
            _exit(128 + SIGPIPE);
        } else if (errno != EINTR) {
            fail(descriptor == STDERR ? "standard error" : "standard output", strerror(errno));
        }
    }
}

/* The stream of the command's output, as it is taken apart (Docker Engine API, "Attach to a container"). */
struct frames {
    unsigned char header[FRAME_HEADER];
    size_t known; /* bytes of the header */
    size_t left;  /* bytes of the payload */
    unsigned code;
};

/* Pass on what has come; true once the exit code is whole. */
static bool pass_on(struct frames *frames, const char *data, size_t length)
{
    while (length > 0) {
        if (frames->known < FRAME_HEADER) {
            frames->header[frames->known++] = (unsigned char)*data++;
            length--;
            const unsigned char *size = frames->header + 4;
            frames->left = (size_t)size[0] << 24 | (size_t)size[1] << 16 | (size_t)size[2] << 8 | size[3];
        } else {
            size_t piece = frames->left < length ? frames->left : length;
            unsigned stream = frames->header[0];
            if (stream == END)
                for (size_t i = 0; i < piece; i++)
                    frames->code = frames->code * 10 + (unsigned)(data[i] - '0');
            else
                write_all(stream == STDERR || stream == SYSTEM_ERROR ? 2 : 1, data, piece);
            data += piece;
            length -= piece;
            frames->left -= piece;
        }
        if (frames->known == FRAME_HEADER && frames->left == 0) {
            if (frames->header[0] == END)
                return true;
            frames->known = 0;
        }
    }
    return false;
}

/* The exit code of what runs, whose id is put into `id`; -1 where the stream has ended without one. */
static int follow(int engine, char *id, size_t size)
{
    static char buffer[BUFFER + 1];
    struct frames frames = {0};
    size_t length = 0;
    char *body = NULL;
    while (body == NULL) {
        ssize_t count = length < BUFFER ? receive(engine, buffer + length, BUFFER - length) : 0;
        if (count <= 0)
            return -1;
        length += (size_t)count;
        buffer[length] = '\0';
        body = memmem(buffer, length, "\r\n\r\n", 4);
    }
    body += 4;
    char *header = strcasestr(buffer, ID_HEADER);
    if (header != NULL && header < body) {
        header += strlen(ID_HEADER);
        header += strspn(header, " \t");
        print(id, size, "%.*s", (int)strcspn(header, " \t\r"), header);
    }
    size_t early = length - (size_t)(body - buffer);
    if (pass_on(&frames, body, early))
        return (int)(frames.code & 0xFF);
    for (;;) {
        ssize_t count = receive(engine, buffer, BUFFER);
        if (count <= 0)
            return -1;
        if (pass_on(&frames, buffer, (size_t)count))
            return (int)(frames.code & 0xFF);
    }
}

/* ---- the command line ------------------------------------------------------------------------------------------- */

static void end_by(int signal)
{
    _exit(128 + signal);
}

/* End by a signal as the program in Python does: with the exit code that a shell would make of it. */
static void exit_upon(int signal)
{
    struct sigaction action;
    if (sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_DFL) {
        action.sa_handler = end_by;
        sigaction(signal, &action, NULL);
    }
}

static bool is_plain_exec(int argc, char **argv)
{
    for (int descriptor = 0; descriptor <= 2; descriptor++)
        if (fcntl(descriptor, F_GETFD) < 0)
            return false; /* the connection would get its number */
    return argc >= 4 && strcmp(argv[1], "exec") == 0 && is_plain_name(argv[2]);
}

int main(int argc, char **argv)
{
    struct text request = {0};
    if (argc < 1)
        return 1;
    if (!is_plain_exec(argc, argv) || !write_request(&request, argv[2], argv + 3))
        become_python(NULL, 0, argv + 1);
    int engine = connect_engine();
    if (engine < 0)
        become_python(NULL, 0, argv + 1);
    exit_upon(SIGINT);
    exit_upon(SIGPIPE);
    send_all(engine, &request);

    char descriptor[16]; /* which goes on with what this becomes */
    snprintf(descriptor, sizeof descriptor, "%d", engine);
    fcntl(engine, F_SETFD, 0);

    char start[sizeof SWITCHING - 1];
    ssize_t length;
    do
        length = recv(engine, start, sizeof start, MSG_PEEK);
    while (length < 0 && errno == EINTR);
    if (length != sizeof start || memcmp(start, SWITCHING, sizeof start) != 0)
        become_python((char *[]){"__begun", descriptor}, 2, argv + 1);

    char id[128] = "";
    int code = follow(engine, id, sizeof id);
    if (code < 0 && *id)
        become_python((char *[]){"__lost", descriptor, id}, 3, argv + 1); /* which asks how it has ended */
    if (code < 0)
        fail("it has begun and not said what", "the engine's answer was cut short");
    return code;
}
