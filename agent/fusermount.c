#include <config.h>

#include "agent/fusermount.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blob/base/buf.h"
#include "blob/base/cleanup.h"

/* Where the child finds its socket, and what fusermount3 is told about it. */
#define COMM_FD 3
#define COMM_ENV "_FUSE_COMMFD=3"

static int start(char *const argv[], int comm, int err_fd, pid_t *pid)
{
	char env_comm[] = COMM_ENV;
	char env_path[] = "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
	char env_lang[] = "LC_ALL=C";
	char *const envp[] = { env_comm, env_path, env_lang, NULL };
	posix_spawn_file_actions_t actions;
	int rc;

	rc = posix_spawn_file_actions_init(&actions);
	if (rc)
		return rc;
	rc = posix_spawn_file_actions_adddup2(&actions, err_fd, STDERR_FILENO);
	if (!rc && comm >= 0)
		rc = posix_spawn_file_actions_adddup2(&actions, comm, COMM_FD);
	if (!rc)
		rc = posix_spawnp(pid, argv[0], &actions, NULL, argv, envp);
	posix_spawn_file_actions_destroy(&actions);
	return rc;
}

static void read_all(int fd, struct buf *out)
{
	char chunk[512];
	ssize_t n;

	while ((n = read(fd, chunk, sizeof(chunk))) > 0 || (n < 0 && errno == EINTR))
		if (n > 0)
			buf_add(out, chunk, (size_t)n);
	while (out->len && out->data[out->len - 1] == '\n')
		out->data[--out->len] = '\0';
}

/* Run fusermount3 and wait for it: 0 when it says that it worked, else -1 and
 * what it said. */
static int run(char *const argv[], int comm, const char *what, struct err *err)
{
	cleanup_buf struct buf said = BUF_INIT(4096);
	cleanup_close int in = -1;
	cleanup_close int out = -1;
	int pipe_fd[2], rc, status;
	pid_t pid;

	if (pipe2(pipe_fd, O_CLOEXEC) < 0)
		return err_set_errno(err, errno, "%s: pipe", what);
	in = pipe_fd[0];
	out = pipe_fd[1];
	rc = start(argv, comm, out, &pid);
	if (rc == ENOENT)
		return err_set(err, ERR_UNSUPPORTED,
			       "%s: there is no fusermount3 here; install the package fuse3", what);
	if (rc)
		return err_set_errno(err, rc, "%s: could not start fusermount3", what);
	close(steal_fd(&out));
	read_all(in, &said);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_set_errno(err, errno, "%s: fusermount3", what);
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	if (!said.len)
		return err_set(err, ERR_SYSTEM, "%s: fusermount3 ended with status 0x%x", what,
			       (unsigned)status);
	return err_set(err, strstr(buf_str(&said), "busy") ? ERR_BUSY : ERR_SYSTEM, "%s: %s", what,
		       buf_str(&said));
}

static int receive_fd(int sock)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space),
	};
	struct cmsghdr *head;
	ssize_t n;
	int fd;

	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return -1;
	head = CMSG_FIRSTHDR(&msg);
	if (!head || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(&fd, CMSG_DATA(head), sizeof(fd));
	return fd;
}

int fusermount_mount(const char *mountpoint, const char *options, struct err *err)
{
	char *const argv[] = { (char *)"fusermount3", (char *)"-o", (char *)options, (char *)"--",
			       (char *)mountpoint, NULL };
	cleanup_close int ours = -1;
	cleanup_close int theirs = -1;
	int pair[2], fd;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set_errno(err, errno, "%s: socketpair", mountpoint);
	ours = pair[0];
	theirs = pair[1];
	if (run(argv, theirs, mountpoint, err) < 0)
		return -1;
	fd = receive_fd(ours);
	if (fd < 0)
		return err_set(err, ERR_SYSTEM, "%s: fusermount3 sent no descriptor", mountpoint);
	return fd;
}

int fusermount_unmount(const char *mountpoint, bool lazy, struct err *err)
{
	char *const argv[] = { (char *)"fusermount3", (char *)(lazy ? "-uz" : "-u"), (char *)"--",
			       (char *)mountpoint, NULL };

	return run(argv, -1, mountpoint, err);
}
