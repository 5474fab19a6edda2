#include <config.h>

#include "agent/client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/proto.h"
#include "agent/runtime_dir.h"
#include "blob/base/buf.h"
#include "blob/base/cleanup.h"
#include "fs/channel.h"

#define START_MS 10000
/* An agent that was started for one user's sake goes when it has no mount left. */
#define IDLE_EXIT "30"

extern char **environ;

char *agent_socket_path(const char *option, struct err *err)
{
	const char *from_env = getenv("HPCPACK_AGENT");
	cleanup_free char *dir = NULL;
	char *out = NULL;

	if (!option && from_env && *from_env)
		option = from_env;
	if (option) {
		out = strdup(option);
	} else {
		dir = runtime_dir_default(err);
		if (!dir)
			return NULL;
		if (asprintf(&out, "%s/%s", dir, AGENT_SOCKET_NAME) < 0)
			out = NULL;
	}
	if (!out)
		err_set(err, ERR_NO_MEMORY, "out of memory");
	return out;
}

static int explain_refusal(const char *socket_path, struct err *err)
{
	return err_set(err, ERR_PERMISSION, "the agent at %s does not serve this user; use one of your own "
		       "with --agent-socket, or ask for the socket_group", socket_path);
}

/* The folder of the socket is the agent's runtime directory. */
static char *folder_of(const char *socket_path, struct err *err)
{
	const char *slash = strrchr(socket_path, '/');

	if (!slash || strcmp(slash + 1, AGENT_SOCKET_NAME)) {
		err_set(err, ERR_NOT_FOUND, "no agent listens at %s, and none can be started there: its socket "
			"is called " AGENT_SOCKET_NAME, socket_path);
		return NULL;
	}
	return slash == socket_path ? strdup("/") : strndup(socket_path, (size_t)(slash - socket_path));
}

static int spawn_agent(const char *dir, const char *config_path, int stderr_fd, pid_t *pid)
{
	const char *folder = getenv("HPCPACK_LIBEXEC");
	cleanup_free char *program = NULL;
	posix_spawn_file_actions_t actions;
	int rc;

	if (asprintf(&program, "%s/hpcagentd", folder && *folder ? folder : HPCPACK_SBINDIR) < 0) {
		program = NULL;
		return ENOMEM;
	}
	char *const argv[] = { program, (char *)"--runtime-dir", (char *)dir, (char *)"--idle-exit",
			       (char *)IDLE_EXIT, (char *)(config_path ? "--config" : NULL),
			       (char *)config_path, NULL };

	rc = posix_spawn_file_actions_init(&actions);
	if (rc)
		return rc;
	rc = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	if (!rc)
		rc = posix_spawn_file_actions_adddup2(&actions, stderr_fd, STDERR_FILENO);
	if (!rc)
		rc = posix_spawn(pid, program, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return rc;
}

/* What the agent says until it has gone into the background (then the pipe ends)
 * or has failed. */
static bool hear_out(int fd, struct buf *said)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct timespec now;
	int64_t end;
	char chunk[512];
	ssize_t n;

	clock_gettime(CLOCK_MONOTONIC, &now);
	end = now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000 + START_MS;
	for (;;) {
		int64_t left;

		clock_gettime(CLOCK_MONOTONIC, &now);
		left = end - now.tv_sec * INT64_C(1000) - now.tv_nsec / 1000000;
		if (left <= 0 || poll(&p, 1, (int)left) == 0)
			return false;
		n = read(fd, chunk, sizeof(chunk));
		if (n == 0)
			return true;
		if (n > 0)
			buf_add(said, chunk, (size_t)n);
		else if (errno != EINTR)
			return false;
	}
}

/* Its last line, without the name and level in front. */
static const char *last_words(struct buf *said)
{
	const char *line, *colon;

	while (said->len && said->data[said->len - 1] == '\n')
		said->data[--said->len] = '\0';
	if (!said->len)
		return "it does not say why";
	line = strrchr(said->data, '\n');
	line = line ? line + 1 : said->data;
	colon = strstr(line, ": error: ");
	return colon ? colon + 9 : line;
}

static int start_agent(const char *socket_path, const char *config_path, struct err *err)
{
	cleanup_free char *dir = folder_of(socket_path, err);
	cleanup_buf struct buf said = BUF_INIT(65536);
	cleanup_close int in = -1;
	cleanup_close int out = -1;
	int pipe_fd[2], rc, status;
	bool heard;
	pid_t pid;

	if (!dir)
		return -1;
	if (pipe2(pipe_fd, O_CLOEXEC) < 0)
		return err_set_errno(err, errno, "pipe");
	in = pipe_fd[0];
	out = pipe_fd[1];
	rc = spawn_agent(dir, config_path, out, &pid);
	if (rc)
		return err_set_errno(err, rc, "could not start hpcagentd");
	close(steal_fd(&out));
	heard = hear_out(in, &said);
	if (!heard)
		return err_set(err, ERR_TIMEOUT, "hpcagentd was started and did not listen within %d s",
			       START_MS / 1000);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return err_set(err, ERR_SYSTEM, "hpcagentd could not be started: %s", last_words(&said));
}

int agent_connect(const char *socket_path, bool start, const char *config_path, bool *started,
		  struct err *err)
{
	struct err why;
	int fd = channel_connect(socket_path, &why);

	if (started)
		*started = false;
	if (fd >= 0)
		return fd;
	if (why.code == ERR_PERMISSION)
		return explain_refusal(socket_path, err);
	if (why.code != ERR_NOT_FOUND) {
		*err = why;
		return -1;
	}
	if (!start)
		return err_set(err, ERR_NOT_FOUND, "no agent runs at %s", socket_path);
	if (start_agent(socket_path, config_path, err) < 0) {
		/* Another client may have been faster than we. */
		fd = channel_connect(socket_path, NULL);
		return fd;
	}
	fd = channel_connect(socket_path, err);
	if (fd >= 0 && started)
		*started = true;
	return fd;
}

json_t *agent_call(int fd, const json_t *request, void (*progress)(void *arg, const char *text),
		   void *arg, struct err *err)
{
	json_t *reply;

	if (channel_send(fd, request, err) < 0) {
		err_prefix(err, "the agent");
		return NULL;
	}
	for (;;) {
		const char *text;

		reply = channel_receive(fd, -1, err);
		if (!reply) {
			if (err && err->code == ERR_CANCELLED)
				err_set(err, ERR_SYSTEM, "the agent ended before it answered; see its log");
			return NULL;
		}
		text = json_string_value(json_object_get(reply, "progress"));
		if (!text)
			break;
		if (progress)
			progress(arg, text);
		json_decref(reply);
	}
	if (json_is_true(json_object_get(reply, "ok")))
		return reply;
	channel_err_from_json(json_object_get(reply, "error"), err);
	json_decref(reply);
	return NULL;
}
