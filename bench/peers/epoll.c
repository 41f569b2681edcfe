/* The floor of the comparison: rooms over WebSocket on one core, with nothing that a chat needs beyond them.
 *
 * One thread, one epoll, the protocol of `bench/dialects/plain.py`. What one turn of the loop brings for a room is joined
 * and sent to each member in one write. Left out on purpose: storing, UTF-8 checks, fragments, extensions, time-outs, TLS,
 * leaving a room without hanging up. A connection is in at most one room; a room is never freed.
 *
 * A connection is freed only by the event of its own descriptor; whoever else finds it broken shuts it down, which
 * makes that event come. So no pointer of a batch of events can dangle, and a room's members stay put while it is sent.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EVENTS = 512,
    BUCKETS = 4096,
    NAME_MAX_BYTES = 128,
    MESSAGE_MAX_BYTES = 64 * 1024,
    READ_BYTES = 128 * 1024,
    TURN_BYTES = 1024 * 1024,          /* a room that got more is sent before the turn ends */
    UNSENT_MAX_BYTES = 64 * 1024 * 1024, /* of one connection; beyond it is cut off */
    TEXT = 0x1, CLOSE = 0x8, PING = 0x9, PONG = 0xA,
};

typedef struct { unsigned char *data; size_t size, space; } Bytes;

typedef struct Room Room;

typedef struct {
    int fd;
    bool upgraded, waits_to_write;
    size_t seat; /* index among the members of its room */
    Room *room;
    Bytes in, out; /* unfinished input; unsent output */
} Conn;

struct Room {
    char name[NAME_MAX_BYTES + 1];
    uint64_t offset;
    Conn **members;
    size_t count, seats; /* taken, and allocated */
    Bytes turn; /* frames of this turn, not sent yet */
    bool is_dirty;
    Room *next, *next_dirty;
};

static int poller;
static Room *buckets[BUCKETS], *dirty;
static unsigned char scratch[READ_BYTES];
static Bytes answers; /* for the connection that is being read */

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void *grown(void *old, size_t size) {
    void *made = realloc(old, size);
    if (!made) die("memory");
    return made;
}

static void append(Bytes *to, const void *data, size_t size) {
    if (to->size + size > to->space) {
        to->space = (to->size + size) * 2;
        to->data = grown(to->data, to->space);
    }
    memcpy(to->data + to->size, data, size);
    to->size += size;
}

static void release(Bytes *bytes) {
    free(bytes->data);
    memset(bytes, 0, sizeof *bytes);
}

/* The head of a server's frame, then its two parts. */
static void append_frame(Bytes *to, int opcode, const void *first, size_t first_size, const void *rest, size_t rest_size) {
    size_t size = first_size + rest_size;
    unsigned char head[4] = {(unsigned char)(0x80 | opcode), (unsigned char)size};
    if (size >= 126) {
        head[1] = 126;
        head[2] = (unsigned char)(size >> 8);
        head[3] = (unsigned char)size;
    }
    append(to, head, size < 126 ? 2 : 4);
    append(to, first, first_size);
    append(to, rest, rest_size);
}

static uint32_t rolled(uint32_t x, int by) {
    return x << by | x >> (32 - by);
}

static void sha1_block(uint32_t h[5], const unsigned char *p) {
    uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
    for (int i = 16; i < 80; i++) w[i] = rolled(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (int i = 0; i < 80; i++) {
        uint32_t mixed = i < 20   ? ((b & c) | (~b & d)) + 0x5A827999
                         : i < 40 ? (b ^ c ^ d) + 0x6ED9EBA1
                         : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8F1BBCDC
                                  : (b ^ c ^ d) + 0xCA62C1D6;
        uint32_t next = rolled(a, 5) + mixed + e + w[i];
        e = d, d = c, c = rolled(b, 30), b = a, a = next;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
}

/* Of a text of at most 119 bytes: two blocks. A WebSocket key with its suffix has 60. */
static void sha1(const char *text, size_t size, unsigned char digest[20]) {
    uint32_t h[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    unsigned char padded[128] = {0};
    size_t whole = size < 56 ? 64 : 128;
    memcpy(padded, text, size);
    padded[size] = 0x80;
    padded[whole - 2] = (unsigned char)(size * 8 >> 8);
    padded[whole - 1] = (unsigned char)(size * 8);
    for (size_t at = 0; at < whole; at += 64) sha1_block(h, padded + at);
    for (int i = 0; i < 20; i++) digest[i] = (unsigned char)(h[i / 4] >> (24 - 8 * (i % 4)));
}

/* Base64 of a digest: 27 characters and one "=". */
static void base64(const unsigned char digest[20], char text[29]) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int i = 0, out = 0; i < 21; i += 3) {
        uint32_t three = (uint32_t)digest[i] << 16 | (uint32_t)digest[i + 1] << 8 | (i + 2 < 20 ? digest[i + 2] : 0);
        for (int shift = 18; shift >= 0; shift -= 6) text[out++] = letters[three >> shift & 63];
    }
    text[27] = '=', text[28] = 0;
}

static void watch(Conn *conn, bool writing) {
    struct epoll_event wanted = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.ptr = conn};
    if (conn->waits_to_write == writing) return;
    conn->waits_to_write = writing;
    if (epoll_ctl(poller, EPOLL_CTL_MOD, conn->fd, &wanted)) die("epoll_ctl");
}

static void cut(Conn *conn) {
    shutdown(conn->fd, SHUT_RDWR);
    release(&conn->out);
}

/* Send now what the socket takes; keep the rest until it can be written again. */
static void put(Conn *conn, const unsigned char *data, size_t size) {
    if (!conn->out.size) {
        ssize_t sent = send(conn->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent == (ssize_t)size) return;
        if (sent < 0 && errno != EAGAIN) return cut(conn);
        if (sent > 0) data += sent, size -= (size_t)sent;
        watch(conn, true);
    }
    if (conn->out.size + size > UNSENT_MAX_BYTES) return cut(conn);
    append(&conn->out, data, size);
}

static void flush(Conn *conn) {
    ssize_t sent = conn->out.size ? send(conn->fd, conn->out.data, conn->out.size, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
    if (sent < 0) {
        if (errno != EAGAIN) cut(conn);
        return;
    }
    conn->out.size -= (size_t)sent;
    if (conn->out.size) {
        memmove(conn->out.data, conn->out.data + sent, conn->out.size);
    } else {
        release(&conn->out);
        watch(conn, false);
    }
}

static Room *room_of(const char *name, size_t size) {
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < size; i++) hash = (hash ^ (unsigned char)name[i]) * 16777619u;
    Room **bucket = &buckets[hash % BUCKETS];
    for (Room *room = *bucket; room; room = room->next)
        if (strlen(room->name) == size && !memcmp(room->name, name, size)) return room;
    Room *room = grown(NULL, sizeof *room);
    memset(room, 0, sizeof *room);
    memcpy(room->name, name, size);
    room->next = *bucket;
    return *bucket = room;
}

static void send_turn(Room *room) {
    for (size_t i = 0; room->turn.size && i < room->count; i++) put(room->members[i], room->turn.data, room->turn.size);
    room->turn.size = 0;
}

static bool join(Conn *conn, const char *name, size_t size) {
    char reply[32];
    if (conn->room || !size || size > NAME_MAX_BYTES) return false;
    Room *room = conn->room = room_of(name, size);
    send_turn(room); /* it is live from the next post on */
    if (room->count == room->seats) {
        room->seats = room->seats ? room->seats * 2 : 4;
        room->members = grown(room->members, room->seats * sizeof *room->members);
    }
    conn->seat = room->count;
    room->members[room->count++] = conn;
    int length = snprintf(reply, sizeof reply, "joined %llu", (unsigned long long)room->offset);
    append_frame(&answers, TEXT, reply, (size_t)length, "", 0);
    return true;
}

/* "ID ROOM BODY": the body goes to the members as it came. */
static bool post(const char *text, size_t size) {
    const char *end = text + size, *name = memchr(text, ' ', size);
    const char *body = name ? memchr(name + 1, ' ', (size_t)(end - name - 1)) : NULL;
    if (!body || body == name + 1 || body - name - 1 > NAME_MAX_BYTES) return false;
    Room *room = room_of(name + 1, (size_t)(body - name - 1));
    char head[32];
    int length = snprintf(head, sizeof head, "event %llu", (unsigned long long)++room->offset);
    if (!room->is_dirty) room->is_dirty = true, room->next_dirty = dirty, dirty = room;
    append_frame(&room->turn, TEXT, head, (size_t)length, body, (size_t)(end - body));
    append_frame(&answers, TEXT, "ok ", 3, text, (size_t)(name - text));
    if (room->turn.size > TURN_BYTES) send_turn(room);
    return true;
}

static bool command(Conn *conn, const char *text, size_t size) {
    if (size > 5 && !memcmp(text, "post ", 5)) return post(text + 5, size - 5);
    if (size > 5 && !memcmp(text, "join ", 5)) return join(conn, text + 5, size - 5);
    return false;
}

/* Answers the request head; returns its size, 0 while it is unfinished, -1 for what is no upgrade. */
static ssize_t upgrade(Conn *conn, unsigned char *data, size_t size) {
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", field[] = "\r\nSec-WebSocket-Key:";
    char keyed[25 + sizeof guid], accept[29], reply[160];
    unsigned char digest[20];
    unsigned char *end = memmem(data, size, "\r\n\r\n", 4);
    if (!end) return size < 8192 ? 0 : -1;
    *end = 0;
    const char *key = strcasestr((char *)data, field);
    if (!key) return -1;
    key += sizeof field - 1;
    key += strspn(key, " ");
    if (strcspn(key, " \r") != 24) return -1;
    int length = snprintf(keyed, sizeof keyed, "%.24s%s", key, guid);
    sha1(keyed, (size_t)length, digest);
    base64(digest, accept);
    length = snprintf(reply, sizeof reply, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                      "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept);
    conn->upgraded = true;
    append(&answers, reply, (size_t)length);
    return end + 4 - data;
}

/* Carries out the first frame; returns its size, 0 while it is unfinished, -1 to hang up. */
static ssize_t frame(Conn *conn, unsigned char *data, size_t size) {
    if (size < 6) return 0;
    size_t length = data[1] & 0x7F, head = length == 126 ? 8 : 6;
    if (!(data[0] & 0x80) || !(data[1] & 0x80) || length == 127) return -1;
    if (size < head) return 0;
    if (length == 126) length = (size_t)data[2] << 8 | data[3];
    if (length > MESSAGE_MAX_BYTES - 64) return -1;
    if (size < head + length) return 0;
    unsigned char *mask = data + head - 4, *body = data + head;
    for (size_t i = 0; i < length; i++) body[i] ^= mask[i & 3];
    int opcode = data[0] & 0x0F;
    if (opcode == TEXT && !command(conn, (char *)body, length)) return -1;
    if (opcode == PING) append_frame(&answers, PONG, body, length, "", 0);
    return opcode == TEXT || opcode == PING || opcode == PONG ? (ssize_t)(head + length) : -1;
}

/* Reads once; false when the connection is over. */
static bool read_from(Conn *conn) {
    size_t size = conn->in.size, at = 0;
    if (size) memcpy(scratch, conn->in.data, size);
    ssize_t got = recv(conn->fd, scratch + size, READ_BYTES - size, MSG_DONTWAIT);
    if (got <= 0) return got < 0 && errno == EAGAIN;
    size += (size_t)got;
    while (at < size) {
        ssize_t used = conn->upgraded ? frame(conn, scratch + at, size - at) : upgrade(conn, scratch + at, size - at);
        if (used < 0) return false;
        if (!used) break;
        at += (size_t)used;
    }
    conn->in.size = 0;
    if (at < size) append(&conn->in, scratch + at, size - at);
    else release(&conn->in);
    if (answers.size) put(conn, answers.data, answers.size);
    return true;
}

static void end(Conn *conn) {
    Room *room = conn->room;
    if (room) {
        Conn *last = room->members[--room->count];
        room->members[conn->seat] = last;
        last->seat = conn->seat;
    }
    close(conn->fd);
    release(&conn->in);
    release(&conn->out);
    free(conn);
}

static void accept_all(int listener) {
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        Conn *conn = grown(NULL, sizeof *conn);
        memset(conn, 0, sizeof *conn);
        conn->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = conn};
        if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &wanted)) die("epoll_ctl");
    }
    if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) die("accept");
}

static int listening(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) || listen(fd, 2048)) die("listen");
    if (getsockname(fd, (struct sockaddr *)&address, &size)) die("getsockname");
    printf("ready at http://127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int main(void) {
    struct epoll_event events[EVENTS], wanted = {.events = EPOLLIN};
    int listener;
    poller = epoll_create1(0);
    if (poller < 0) die("epoll_create1");
    listener = listening();
    if (epoll_ctl(poller, EPOLL_CTL_ADD, listener, &wanted)) die("epoll_ctl");
    for (;;) {
        int count = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            Conn *conn = events[i].data.ptr;
            if (!conn) {
                accept_all(listener);
                continue;
            }
            answers.size = 0;
            if (events[i].events & EPOLLOUT) flush(conn);
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR) && !read_from(conn)) end(conn);
        }
        for (; dirty; dirty = dirty->next_dirty) {
            dirty->is_dirty = false;
            send_turn(dirty);
        }
    }
}
