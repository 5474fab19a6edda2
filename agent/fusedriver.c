/*
 * hpcpack-fusedriver - run a FUSE filesystem driver that wants to mount itself,
 * with no privilege but fusermount3:
 *
 *	hpcpack-fusedriver MOUNTPOINT OPTIONS READY_FD DRIVER ARGS...
 *
 * ntfs-3g brings its own FUSE library, and mounts only when it is root or
 * set-uid root. Set-uid it can't open the worker's `disk`: a FUSE file is open
 * only to processes whose real, effective and saved ids are all the mounting
 * user's. So the driver runs with its set-uid bit ignored, and the one system
 * call that it then can't do is done here for it: its mount(2) makes fusermount3
 * mount at MOUNTPOINT with OPTIONS, and the connection takes the place of the
 * /dev/fuse that the driver has opened. fuse2fs and exfat-fuse run in the same
 * way, so that one path serves all of them and says when it is mounted.
 *
 * The driver runs in the foreground; this program lives as long as it does and
 * ends with its status. One byte is written to READY_FD once it is mounted.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blob/base/buf.h"
#include "blob/base/cleanup.h"
#include "blob/base/err.h"
#include "blob/base/log.h"
#include "agent/fusermount.h"

struct driver {
	const char *mountpoint, *options;
	int ready_fd;
	int listener;     /* on which the driver's mount(2) arrives */
	pid_t pid;
};

/* The driver's own architecture is ours, and nothing here is a security
 * boundary, so the filter looks at the number alone. */
static int install_filter(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_mount, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
	};
	struct sock_fprog program = { .len = ARRAY_LEN(code), .filter = code };

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			    &program);
}

static int send_fd(int sock, int fd)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .space = { 0 } };
	char byte = 0;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space),
	};
	struct cmsghdr *head = CMSG_FIRSTHDR(&msg);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	return sendmsg(sock, &msg, MSG_NOSIGNAL) == 1 ? 0 : -1;
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
	int fd;

	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) != 1)
		return -1;
	head = CMSG_FIRSTHDR(&msg);
	if (!head || head->cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(&fd, CMSG_DATA(head), sizeof(fd));
	return fd;
}

static void become_driver(int sock, char *const argv[]) __attribute__((noreturn));
static void become_driver(int sock, char *const argv[])
{
	int listener;

	/* Nobody is left to answer its calls when we die. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || (listener = install_filter()) < 0) {
		log_error("%s: this kernel gives no seccomp listener: %s", argv[0], strerror(errno));
		_exit(126);
	}
	if (send_fd(sock, listener) < 0)
		_exit(126);
	close(listener);
	execvp(argv[0], argv);
	log_error("%s: %s", argv[0], strerror(errno));
	_exit(127);
}

static int start(struct driver *d, char *const argv[])
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	d->pid = fork();
	if (d->pid == 0)
		become_driver(pair[1], argv);
	close(pair[1]);
	d->listener = d->pid < 0 ? -1 : receive_fd(pair[0]);
	close(pair[0]);
	return d->listener < 0 ? -1 : 0;
}

/* A string of the driver's memory; cut at `size`. */
static int peek(pid_t pid, uint64_t address, char *out, size_t size)
{
	size_t done = 0;

	/* Page by page: what follows the string may not be mapped. */
	while (done + 1 < size) {
		size_t page = 4096 - ((address + done) & 4095);
		struct iovec to = { .iov_base = out + done };
		struct iovec from = { .iov_base = (void *)(uintptr_t)(address + done) };
		ssize_t n;

		to.iov_len = from.iov_len = page < size - 1 - done ? page : size - 1 - done;
		n = process_vm_readv(pid, &to, 1, &from, 1, 0);
		if (n <= 0)
			return -1;
		if (memchr(out + done, '\0', (size_t)n))
			return 0;
		done += (size_t)n;
	}
	out[done] = '\0';
	return 0;
}

/* Our options, and of the driver's own those that shape the connection; and
 * which of its descriptors it took for the connection. */
static int mount_options(const struct driver *d, char *theirs, struct buf *out)
{
	char *save = NULL;
	int fd = -1;

	buf_addstr(out, d->options);
	for (char *o = strtok_r(theirs, ",", &save); o; o = strtok_r(NULL, ",", &save)) {
		if (!strncmp(o, "fd=", 3))
			fd = atoi(o + 3);
		else if (!strcmp(o, "default_permissions") || !strncmp(o, "max_read=", 9))
			buf_addf(out, ",%s", o);
	}
	return fd;
}

static int mount_for(const struct driver *d, const struct seccomp_notif *call)
{
	cleanup_buf struct buf options = BUF_INIT(8192);
	cleanup_close int fuse = -1;
	struct seccomp_notif_addfd add = { .id = call->id, .flags = SECCOMP_ADDFD_FLAG_SETFD };
	char theirs[4096] = "";
	struct err err;
	int theirs_fd;

	if (!call->data.args[4] ||
	    peek((pid_t)call->pid, call->data.args[4], theirs, sizeof(theirs)) < 0) {
		log_error("%s: can't see what the driver wants mounted", d->mountpoint);
		return -EPERM;
	}
	theirs_fd = mount_options(d, theirs, &options);
	if (theirs_fd < 0)
		return -EPERM;
	fuse = fusermount_mount(d->mountpoint, buf_str(&options), &err);
	if (fuse < 0) {
		log_error("%s", err.msg);
		return -EPERM;
	}
	add.srcfd = (uint32_t)fuse;
	add.newfd = (uint32_t)theirs_fd;
	if (ioctl(d->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add) < 0) {
		log_error("%s: could not hand the connection over: %s", d->mountpoint,
			  strerror(errno));
		fusermount_unmount(d->mountpoint, true, NULL);
		return -EPERM;
	}
	if (write(d->ready_fd, "", 1) < 0)
		log_warn("%s: nobody waits for this mount", d->mountpoint);
	return 0;
}

static void answer(const struct driver *d)
{
	struct seccomp_notif call;
	struct seccomp_notif_resp reply;

	memset(&call, 0, sizeof(call));
	if (ioctl(d->listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0)
		return; /* it was interrupted or has died: nothing to answer */
	memset(&reply, 0, sizeof(reply));
	reply.id = call.id;
	reply.error = mount_for(d, &call);
	ioctl(d->listener, SECCOMP_IOCTL_NOTIF_SEND, &reply);
}

int main(int argc, char *argv[])
{
	struct driver d = { .listener = -1 };
	struct pollfd wait;
	int status = 0;

	log_init("hpcpack-fusedriver", LOG_LEVEL_INFO);
	if (argc < 5) {
		fprintf(stderr, "usage: hpcpack-fusedriver MOUNTPOINT OPTIONS READY_FD DRIVER ARGS...\n");
		return 2;
	}
	d.mountpoint = argv[1];
	d.options = argv[2];
	d.ready_fd = atoi(argv[3]);
	fcntl(d.ready_fd, F_SETFD, FD_CLOEXEC);
	if (start(&d, argv + 4) < 0)
		return 126;
	wait.fd = d.listener;
	wait.events = POLLIN;
	/* The listener hangs up when the driver and all its threads are gone. */
	while (poll(&wait, 1, -1) >= 0 || errno == EINTR) {
		if (wait.revents & POLLIN)
			answer(&d);
		else if (wait.revents)
			break;
		wait.revents = 0;
	}
	while (waitpid(d.pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
