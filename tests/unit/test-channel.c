/* Messages between processes: whole, bounded, and never trusted. */
#include <config.h>

#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "fs/channel.h"
#include "fs/errno_map.h"

static void pair(int fd[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd), 0);
}

static void expect_refused(const void *packet, size_t len, enum err_code code, const char *says)
{
	int fd[2];
	struct err err;
	int size = 1 << 20;

	pair(fd);
	setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	assert_int_equal(send(fd[0], packet, len, 0), (ssize_t)len);
	assert_null(channel_receive(fd[1], 1000, &err));
	assert_int_equal(err.code, code);
	if (!strstr(err.msg, says))
		fail_msg("\"%s\" does not say \"%s\"", err.msg, says);
	close(fd[0]);
	close(fd[1]);
}

static void round_trip(void **state)
{
	int fd[2];
	struct err err;
	json_t *msg = json_pack("{sssisb}", "text", "\xc3\xbc", "n", 7, "yes", 1), *got;

	pair(fd);
	assert_int_equal(channel_send(fd[0], msg, &err), 0);
	got = channel_receive(fd[1], 1000, &err);
	assert_true(json_equal(msg, got));
	json_decref(msg);
	json_decref(got);
	close(fd[0]);
	close(fd[1]);
}

static void hostile(void **state)
{
	static char large[CHANNEL_MAX + 1];
	struct err err;
	size_t i;

	expect_refused("{", 1, ERR_PROTOCOL, "not JSON");
	expect_refused("[1]", 3, ERR_PROTOCOL, "not a JSON object");
	expect_refused("\"a\"", 3, ERR_PROTOCOL, "not JSON");
	expect_refused("{\"a\":1,\"a\":2}", 13, ERR_PROTOCOL, "not JSON");
	expect_refused("{\"a\":\"\\u0000\"}", 14, ERR_PROTOCOL, "not JSON");
	expect_refused("{\"a\":\"\xff\"}", 9, ERR_PROTOCOL, "not JSON");
	expect_refused("{\"a\":1}x", 8, ERR_PROTOCOL, "not JSON");
	for (i = 0; i < CHANNEL_MAX; i++)
		large[i] = '[';
	expect_refused(large, CHANNEL_MAX, ERR_PROTOCOL, "not JSON");
	expect_refused(large, CHANNEL_MAX + 1, ERR_PROTOCOL, "longer");
	/* What can't be parsed is not quoted: it may be a key. */
	{
		int fd[2];

		pair(fd);
		assert_int_equal(send(fd[0], "{\"key\": Eby8vdM02xNOcqFlqUwJPLlmEtlC}", 37, 0), 37);
		assert_null(channel_receive(fd[1], 1000, &err));
		assert_null(strstr(err.msg, "Eby8"));
		close(fd[0]);
		close(fd[1]);
	}
}

static void too_long_to_send(void **state)
{
	static char text[CHANNEL_MAX + 1];
	int fd[2];
	struct err err;
	json_t *msg;

	memset(text, 'a', CHANNEL_MAX);
	msg = json_pack("{ss}", "a", text);
	pair(fd);
	assert_int_equal(channel_send(fd[0], msg, &err), -1);
	assert_int_equal(err.code, ERR_PROTOCOL);
	json_decref(msg);
	text[CHANNEL_MAX - 8] = '\0'; /* {"a":""} around it: the longest there can be */
	msg = json_pack("{ss}", "a", text);
	assert_int_equal(channel_send(fd[0], msg, &err), 0);
	json_decref(msg);
	msg = channel_receive(fd[1], 1000, &err);
	assert_non_null(msg);
	json_decref(msg);
	close(fd[0]);
	close(fd[1]);
}

static void hang_up_and_timeout(void **state)
{
	int fd[2];
	struct err err;
	json_t *msg = json_object();

	pair(fd);
	assert_null(channel_receive(fd[1], 20, &err));
	assert_int_equal(err.code, ERR_TIMEOUT);
	close(fd[0]);
	assert_null(channel_receive(fd[1], 1000, &err));
	assert_int_equal(err.code, ERR_CANCELLED);
	assert_int_equal(channel_send(fd[1], msg, &err), -1);
	assert_int_equal(err.code, ERR_CANCELLED);
	json_decref(msg);
	close(fd[1]);
}

static void errors_travel(void **state)
{
	struct err in, out;
	json_t *obj;

	err_set(&in, ERR_LEASE_HELD, "held by joe");
	strcpy(in.service_code, "LeaseAlreadyPresent");
	strcpy(in.request_id, "42");
	obj = channel_err_to_json(&in);
	channel_err_from_json(obj, &out);
	json_decref(obj);
	assert_int_equal(out.code, ERR_LEASE_HELD);
	assert_string_equal(out.msg, in.msg);
	assert_string_equal(out.service_code, in.service_code);
	assert_string_equal(out.request_id, in.request_id);

	err_set(&in, ERR_SERVER, "a\xff" "b"); /* not UTF-8 */
	obj = channel_err_to_json(&in);
	channel_err_from_json(obj, &out);
	json_decref(obj);
	assert_string_equal(out.msg, "a?b");

	/* Nothing that a peer sends makes an error that is none. */
	channel_err_from_json(NULL, &out);
	assert_int_not_equal(out.code, ERR_NONE);
	obj = json_pack("{ss}", "code", "none");
	channel_err_from_json(obj, &out);
	assert_int_not_equal(out.code, ERR_NONE);
	json_decref(obj);
}

/* --- sockets with a path --- */

static void *answer(void *arg)
{
	int listener = *(int *)arg, i;

	for (i = 0; i < 3; i++) {
		cleanup_close int fd = accept(listener, NULL, NULL);
		struct err err;
		json_t *msg = channel_receive(fd, 5000, &err), *reply;
		int n = (int)json_integer_value(json_object_get(msg, "n"));

		reply = n == 0 ? json_pack("{sbsi}", "ok", 1, "n", 1) :
			n == 1 ? json_pack("{sbs{ssss}}", "ok", 0, "error", "code", "busy", "message", "in use") :
			json_pack("{si}", "n", 5);
		channel_send(fd, reply, &err);
		json_decref(msg);
		json_decref(reply);
	}
	return NULL;
}

static void calls(const char *path)
{
	struct err err;
	struct stat st;
	int listener = channel_listen(path, &err);
	pthread_t thread;
	json_t *request, *reply;

	if (listener < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(channel_listen(path, &err), -1);
	assert_int_equal(err.code, ERR_BUSY);
	pthread_create(&thread, NULL, answer, &listener);
	/* The attempt to listen above left a connection that hung up: n is 0 there. */
	request = json_pack("{si}", "n", 1);
	reply = channel_call_path(path, request, 5000, &err);
	assert_null(reply);
	assert_int_equal(err.code, ERR_BUSY);
	assert_non_null(strstr(err.msg, "in use"));
	json_object_set_new(request, "n", json_integer(2));
	assert_null(channel_call_path(path, request, 5000, &err));
	assert_int_equal(err.code, ERR_PROTOCOL);
	json_decref(request);
	pthread_join(thread, NULL);
	close(listener);
	assert_int_equal(channel_connect(path, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	listener = channel_listen(path, &err); /* takes the place of the dead one */
	assert_true(listener >= 0);
	close(listener);
	unlink(path);
	assert_int_equal(channel_connect(path, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void paths(void **state)
{
	char folder[] = "/tmp/test-channel.XXXXXX", deep[256], path[300];
	struct err err;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/control", folder);
	calls(path);
	/* Longer than an address can be. */
	snprintf(deep, sizeof(deep), "%s/%0150d", folder, 1);
	assert_int_equal(mkdir(deep, 0700), 0);
	snprintf(path, sizeof(path), "%s/control", deep);
	calls(path);
	rmdir(deep);
	assert_int_equal(channel_listen(path, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_int_equal(channel_connect("", &err), -1);
	assert_int_equal(channel_connect("/tmp/", &err), -1);
	rmdir(folder);
}

static void peer(void **state)
{
	unsigned uid, gid;
	int fd[2], pid;

	pair(fd);
	assert_int_equal(channel_peer(fd[0], &uid, &gid, &pid), 0);
	assert_int_equal(uid, getuid());
	assert_int_equal(gid, getgid());
	assert_int_equal(pid, getpid());
	close(fd[0]);
	close(fd[1]);
}

static void errnos(void **state)
{
	int code;

	assert_int_equal(errno_of(ERR_NONE), 0);
	for (code = 1; code < ERR_CODE_COUNT; code++)
		assert_true(errno_of((enum err_code)code) > 0);
	assert_int_equal(errno_of(ERR_LEASE_LOST), EIO);
	assert_int_equal(errno_of(ERR_TIMEOUT), EIO);
	assert_int_equal(errno_of(ERR_NOT_FOUND), EIO);
	assert_int_equal(errno_of(ERR_AUTH), EACCES);
	assert_int_equal(errno_of(ERR_NO_SPACE), ENOSPC);
	assert_int_equal(errno_of(ERR_READ_ONLY), EROFS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip), cmocka_unit_test(hostile),
		cmocka_unit_test(too_long_to_send), cmocka_unit_test(hang_up_and_timeout),
		cmocka_unit_test(errors_travel), cmocka_unit_test(paths),
		cmocka_unit_test(peer), cmocka_unit_test(errnos),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
