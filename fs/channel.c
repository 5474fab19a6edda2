#include <config.h>

#include "fs/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "blob/base/cleanup.h"

#define BACKLOG 64

/* Messages hold keys: no copy of one stays behind in freed memory. */
static void wipe_free(char *text, size_t size)
{
	if (text)
		explicit_bzero(text, size);
	free(text);
}

int channel_send(int fd, const json_t *msg, struct err *err)
{
	char *text = json_dumps(msg, JSON_COMPACT);
	size_t len;
	ssize_t n;
	int saved;

	if (!text)
		return err_set(err, ERR_NO_MEMORY, "can't write a message: out of memory");
	len = strlen(text);
	if (len > CHANNEL_MAX) {
		wipe_free(text, len);
		return err_set(err, ERR_PROTOCOL, "a message of %zu bytes is longer than the %d allowed",
			       len, CHANNEL_MAX);
	}
	do
		n = send(fd, text, len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	saved = errno;
	wipe_free(text, len);
	if (n >= 0)
		return 0;
	if (saved == EPIPE || saved == ECONNRESET)
		return err_set(err, ERR_CANCELLED, "can't send: the other side hung up");
	if (saved == EAGAIN || saved == EWOULDBLOCK)
		return err_set(err, ERR_TIMEOUT, "can't send: the other side does not read");
	return err_set_errno(err, saved, "can't send");
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Wait until a packet is there. */
static int wait_readable(int fd, int timeout_ms, struct err *err)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	int64_t end = now_ms() + timeout_ms;
	int left = timeout_ms, n;

	while ((n = poll(&pfd, 1, left)) < 0 && errno == EINTR) {
		if (timeout_ms < 0)
			continue;
		left = (int)(end - now_ms());
		if (left < 0)
			left = 0;
	}
	if (n < 0)
		return err_set_errno(err, errno, "can't wait for a message");
	if (n == 0)
		return err_set(err, ERR_TIMEOUT, "no answer within %d ms", timeout_ms);
	return 0;
}

/* jansson's own message quotes the text, which may hold a key: not passed on. */
static json_t *parse(const char *text, size_t len, struct err *err)
{
	json_error_t where;
	json_t *msg = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);

	if (!msg) {
		err_set(err, ERR_PROTOCOL, "a message is not JSON, at byte %d", where.position);
		return NULL;
	}
	if (!json_is_object(msg)) {
		json_decref(msg);
		err_set(err, ERR_PROTOCOL, "a message is not a JSON object");
		return NULL;
	}
	return msg;
}

json_t *channel_receive(int fd, int timeout_ms, struct err *err)
{
	json_t *msg = NULL;
	char *text;
	ssize_t n;

	if (wait_readable(fd, timeout_ms, err) < 0)
		return NULL;
	text = malloc(CHANNEL_MAX);
	if (!text) {
		err_set(err, ERR_NO_MEMORY, "can't read a message: out of memory");
		return NULL;
	}
	/* MSG_TRUNC: n is the whole packet's length, also where it was cut. */
	do
		n = recv(fd, text, CHANNEL_MAX, MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	if (n == 0 || (n < 0 && errno == ECONNRESET))
		err_set(err, ERR_CANCELLED, "the other side hung up");
	else if (n < 0)
		err_set_errno(err, errno, "can't receive");
	else if (n > CHANNEL_MAX)
		err_set(err, ERR_PROTOCOL, "a message of %zd bytes is longer than the %d allowed",
			n, CHANNEL_MAX);
	else
		msg = parse(text, (size_t)n, err);
	wipe_free(text, CHANNEL_MAX);
	return msg;
}

json_t *channel_call(int fd, const json_t *request, int timeout_ms, struct err *err)
{
	json_t *reply, *ok;

	if (channel_send(fd, request, err) < 0)
		return NULL;
	reply = channel_receive(fd, timeout_ms, err);
	if (!reply)
		return NULL;
	ok = json_object_get(reply, "ok");
	if (json_is_true(ok))
		return reply;
	if (json_is_false(ok))
		channel_err_from_json(json_object_get(reply, "error"), err);
	else
		err_set(err, ERR_PROTOCOL, "a reply says neither that it worked nor that it failed");
	json_decref(reply);
	return NULL;
}

json_t *channel_call_path(const char *path, const json_t *request, int timeout_ms, struct err *err)
{
	cleanup_close int fd = channel_connect(path, err);
	json_t *reply;

	if (fd < 0)
		return NULL;
	reply = channel_call(fd, request, timeout_ms, err);
	if (!reply)
		err_prefix(err, "%s", path);
	return reply;
}

/*
 * A socket's address holds 107 bytes, a path in a runtime directory may be
 * longer: then the address goes through a descriptor of its folder, which must
 * stay open (*folder) as long as the address is used.
 */
static int make_address(struct sockaddr_un *sa, const char *path, int *folder, struct err *err)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *parent = NULL;
	int n;

	memset(sa, 0, sizeof(*sa));
	sa->sun_family = AF_UNIX;
	if (!*path || (slash && !slash[1]))
		return err_set(err, ERR_USAGE, "\"%s\" is no path of a socket", path);
	if (strlen(path) < sizeof(sa->sun_path)) {
		strcpy(sa->sun_path, path);
		return 0;
	}
	parent = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	if (!parent)
		return err_set(err, ERR_NO_MEMORY, "%s: out of memory", path);
	*folder = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*folder < 0)
		return err_set_errno(err, errno, "%s", parent);
	n = snprintf(sa->sun_path, sizeof(sa->sun_path), "/proc/self/fd/%d/%s", *folder,
		     slash ? slash + 1 : path);
	if (n < 0 || (size_t)n >= sizeof(sa->sun_path))
		return err_set(err, ERR_USAGE, "%s: the name of a socket may not be that long", path);
	return 0;
}

static int try_connect(const struct sockaddr_un *sa)
{
	cleanup_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0)
		return -1;
	return steal_fd(&fd);
}

/* Bind; a socket that a dead process left there is replaced. The mode is set
 * before the name exists, so that nobody else ever finds it open. */
static int bind_fresh(int fd, const struct sockaddr_un *sa, const char *path, struct err *err)
{
	cleanup_close int other = -1;

	if (fchmod(fd, 0600) < 0)
		return err_set_errno(err, errno, "%s: can't set the mode of the socket", path);
	if (!bind(fd, (const struct sockaddr *)sa, sizeof(*sa)))
		return 0;
	if (errno != EADDRINUSE)
		return err_set_errno(err, errno, "%s: can't make the socket", path);
	other = try_connect(sa);
	if (other >= 0 || errno != ECONNREFUSED)
		return err_set(err, ERR_BUSY, "%s: somebody listens there already", path);
	if (unlink(sa->sun_path) < 0 || bind(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0)
		return err_set_errno(err, errno, "%s: can't replace the socket of a dead process", path);
	return 0;
}

int channel_listen(const char *path, struct err *err)
{
	cleanup_close int fd = -1, folder = -1;
	struct sockaddr_un sa;

	if (make_address(&sa, path, &folder, err) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set_errno(err, errno, "%s: can't make a socket", path);
	if (bind_fresh(fd, &sa, path, err) < 0)
		return -1;
	if (listen(fd, BACKLOG) < 0)
		return err_set_errno(err, errno, "%s: can't listen", path);
	return steal_fd(&fd);
}

int channel_connect(const char *path, struct err *err)
{
	cleanup_close int folder = -1;
	struct sockaddr_un sa;
	int fd;

	if (make_address(&sa, path, &folder, err) < 0)
		return -1;
	fd = try_connect(&sa);
	if (fd < 0 && errno == ECONNREFUSED)
		return err_set(err, ERR_NOT_FOUND, "%s: nobody listens there", path);
	if (fd < 0)
		return err_set_errno(err, errno, "%s: can't connect", path);
	return fd;
}

json_t *channel_text(const char *text)
{
	json_t *string = json_string(text);
	cleanup_free char *ascii = NULL;
	char *p;

	if (string)
		return string;
	ascii = strdup(text);
	if (!ascii)
		return NULL;
	for (p = ascii; *p; p++)
		if (*p & 0x80)
			*p = '?';
	return json_string(ascii);
}

json_t *channel_err_to_json(const struct err *err)
{
	return json_pack("{so so so so}", "code", json_string(err_code_name(err->code)),
			 "message", channel_text(err->msg),
			 "service_code", channel_text(err->service_code),
			 "request_id", channel_text(err->request_id));
}

static void copy_text(char *to, size_t size, const json_t *obj, const char *key)
{
	const char *text = json_string_value(json_object_get(obj, key));

	snprintf(to, size, "%s", text ? text : "");
}

void channel_err_from_json(const json_t *obj, struct err *err)
{
	const char *code = json_string_value(json_object_get(obj, "code"));
	const char *message = json_string_value(json_object_get(obj, "message"));

	err_set(err, code ? err_code_from_name(code) : ERR_PROTOCOL, "%s",
		message ? message : "it failed and did not say why");
	if (!err)
		return;
	/* An error that says "none" would pass for success further up. */
	if (err->code == ERR_NONE)
		err->code = ERR_PROTOCOL;
	copy_text(err->service_code, sizeof(err->service_code), obj, "service_code");
	copy_text(err->request_id, sizeof(err->request_id), obj, "request_id");
}

int channel_peer(int fd, unsigned *uid, unsigned *gid, int *pid)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 || len != sizeof(cred))
		return -1;
	*uid = cred.uid;
	*gid = cred.gid;
	*pid = cred.pid;
	return 0;
}
