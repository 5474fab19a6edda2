/* The process hpcpack-drive from the agent's side, as far as it gets without a
 * storage service: bad jobs, a storage that hangs, an agent that dies. */
#include <config.h>

#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fs/channel.h"
#include "fs/job.h"

#define LEAKED_FD 200 /* above all that a worker opens */
#define WORKER TEST_BUILDDIR "/hpcpack-drive"
#define SECRET "c2VjcmV0c2VjcmV0c2VjcmV0"

struct worker {
	char dir[64], control[80];
	pid_t pid;
	int channel;
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void start(struct worker *w)
{
	int pair[2];

	strcpy(w->dir, "/tmp/test-drive-worker.XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->control, sizeof(w->control), "%s/control", w->dir);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	w->pid = fork();
	assert_true(w->pid >= 0);
	if (w->pid == 0) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, 0);
		dup2(null, 2);
		dup2(null, LEAKED_FD); /* something that it must not keep */
		if (pair[1] == 3)
			fcntl(3, F_SETFD, 0);
		else
			dup2(pair[1], 3);
		execl(WORKER, WORKER, (char *)NULL);
		_exit(127);
	}
	close(pair[1]);
	w->channel = pair[0];
}

/* Its exit status, within ten seconds; and that it left nothing in its folder. */
static int end_of(struct worker *w)
{
	int64_t end = now_ms() + 10000;
	int status = 0;
	pid_t pid;

	while ((pid = waitpid(w->pid, &status, WNOHANG)) == 0 && now_ms() < end)
		poll(NULL, 0, 10);
	if (pid == 0) {
		kill(w->pid, SIGKILL);
		waitpid(w->pid, NULL, 0);
		fail_msg("the worker does not end");
	}
	if (w->channel >= 0)
		close(w->channel);
	assert_int_equal(rmdir(w->dir), 0);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static json_t *a_job(const struct worker *w, int port)
{
	struct worker_job job = {
		.account = { .kind = ACCOUNT_SHARED_KEY, .name = strdup("acc"), .key = strdup(SECRET) },
		.container = strdup("con"), .blob = strdup("d.vhd"), .dir = strdup(w->dir),
		.drive = { .lease_duration_s = 15 }, .io_deadline_ms = 60000, .log_level = 3,
	};
	json_t *obj;

	if (asprintf(&job.account.endpoint, "http://127.0.0.1:%d/acc", port) < 0)
		abort();
	obj = worker_job_to_json(&job);
	worker_job_free(&job);
	return obj;
}

static void send_job(struct worker *w, json_t *job)
{
	struct err err;

	assert_int_equal(channel_send(w->channel, job, &err), 0);
	json_decref(job);
}

static void expect_failure(struct worker *w, const char *says)
{
	json_t *event;
	struct err err;
	const char *message;

	do {
		event = channel_receive(w->channel, 20000, &err);
		assert_non_null(event);
		message = json_string_value(json_object_get(json_object_get(event, "error"), "message"));
		if (message && !strstr(message, says))
			fail_msg("\"%s\" does not say \"%s\"", message, says);
		json_decref(event);
	} while (!message);
}

/* Somebody who takes connections and never says a word. */
static int hanging_service(int *port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	*port = ntohs(sa.sin_port);
	return fd;
}

/* Until it waits for the service. */
static json_t *status_of(const struct worker *w)
{
	int64_t end = now_ms() + 10000;
	json_t *request = json_pack("{ss}", "op", "status"), *reply;
	struct err err;

	do {
		reply = channel_call_path(w->control, request, 5000, &err);
		if (!reply)
			poll(NULL, 0, 10);
	} while (!reply && now_ms() < end);
	json_decref(request);
	if (!reply)
		fail_msg("%s", err.msg);
	return reply;
}

static void by_hand(void **state)
{
	assert_int_equal(WEXITSTATUS(system(WORKER " 2>/dev/null 3</dev/null")), 2);
	assert_int_equal(WEXITSTATUS(system(WORKER " 2>/dev/null 3<&-")), 2);
	assert_int_equal(WEXITSTATUS(system(WORKER " --help 2>/dev/null")), 2);
}

static void bad_jobs(void **state)
{
	struct worker w;
	json_t *job;

	start(&w);
	assert_int_equal(send(w.channel, "{\"account\": " SECRET, 30, 0), 30);
	expect_failure(&w, "not JSON");
	assert_int_equal(end_of(&w), 1);

	start(&w);
	send_job(&w, json_object());
	expect_failure(&w, "account");
	assert_int_equal(end_of(&w), 1);

	start(&w);
	job = a_job(&w, 1);
	json_object_set_new(job, "dir", json_string("/tmp/test-drive-worker.not-there/x"));
	send_job(&w, job);
	expect_failure(&w, "can't make the folder");
	assert_int_equal(end_of(&w), 1);

	start(&w);
	job = a_job(&w, 1);
	json_object_set_new(job, "fuse_dir", json_string("somewhere"));
	send_job(&w, job);
	expect_failure(&w, "fuse_dir");
	assert_int_equal(end_of(&w), 1);
}

static void no_agent(void **state)
{
	struct worker w;

	start(&w);
	close(w.channel);
	w.channel = -1;
	assert_int_equal(end_of(&w), 1);
}

/* While the service hangs the worker answers, and can be told to give up. */
static void while_it_hangs(void **state)
{
	enum { BY_HANG_UP, BY_SIGTERM, BY_STOP, WAYS };
	int way, port, service = hanging_service(&port);

	for (way = 0; way < WAYS; way++) {
		struct worker w;
		json_t *status, *stop = json_pack("{ss}", "op", "stop");
		json_t *window = json_pack("{ss si si}", "op", "window", "offset", 0, "size", 512);
		struct rlimit core;
		struct err err;
		char path[64], *text;
		int64_t begun;

		start(&w);
		send_job(&w, a_job(&w, port));
		status = status_of(&w);
		assert_string_equal(json_string_value(json_object_get(status, "state")), "mounting");
		assert_int_equal(json_integer_value(json_object_get(status, "pid")), w.pid);
		text = json_dumps(status, 0);
		assert_null(strstr(text, SECRET));
		free(text);
		json_decref(status);
		assert_int_equal(prlimit(w.pid, RLIMIT_CORE, NULL, &core), 0);
		assert_int_equal(core.rlim_max, 0);
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)w.pid, LEAKED_FD);
		assert_int_equal(access(path, F_OK), -1);
		assert_int_equal(getsid(w.pid), w.pid);

		assert_null(channel_call_path(w.control, window, 5000, &err));
		assert_non_null(strstr(err.msg, "con/d.vhd: is not mounted"));
		json_object_del(window, "size");
		assert_null(channel_call_path(w.control, window, 5000, &err));
		assert_int_equal(err.code, ERR_USAGE);
		json_decref(window);

		begun = now_ms();
		if (way == BY_HANG_UP) {
			close(w.channel);
			w.channel = -1;
		} else if (way == BY_SIGTERM) {
			kill(w.pid, SIGTERM);
			expect_failure(&w, "con/d.vhd");
		} else {
			assert_null(channel_call_path(w.control, stop, 10000, &err));
			assert_int_equal(err.code, ERR_CANCELLED);
		}
		assert_int_equal(end_of(&w), 1);
		assert_true(now_ms() - begun < 5000);
		json_decref(stop);
	}
	close(service);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_hand), cmocka_unit_test(bad_jobs),
		cmocka_unit_test(no_agent), cmocka_unit_test(while_it_hangs),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
