#include <config.h>

#include "agent/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blob/base/cleanup.h"

#define GROUPS_MAX 1024

/* All that the child needs: other threads may hold any lock at fork, so it does
 * system calls and nothing else. */
struct plan {
	const struct spawn *s;
	char *envp[5 + SPAWN_ENV_MAX];
	pid_t parent;
	gid_t groups[GROUPS_MAX];
	int group_count;
	bool change_user;
	int null_fd, report_fd;
};

static void child(const struct plan *p) __attribute__((noreturn));
static void child(const struct plan *p)
{
	const struct spawn *s = p->s;
	sigset_t none;
	int saved;

	sigemptyset(&none);
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	/* What asks the agent to leave, or to read its configuration, may be sent to
	 * all that it has started (systemctl kill does): they stay. This holds for
	 * FUSE drivers too, which take a SIGHUP only where it was not ignored. */
	signal(SIGHUP, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	/* It may have ended before the kernel was told. */
	if (s->with_us && (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != p->parent))
		goto failed;
	if (dup2(p->null_fd, STDIN_FILENO) < 0 ||
	    dup2(s->stdout_fd >= 0 ? s->stdout_fd : p->null_fd, STDOUT_FILENO) < 0)
		goto failed;
	if (s->stderr_fd >= 0 && dup2(s->stderr_fd, STDERR_FILENO) < 0)
		goto failed;
	/* dup2 to itself would leave close-on-exec set */
	if (s->fd3 == 3 ? fcntl(3, F_SETFD, 0) < 0 : s->fd3 >= 0 && dup2(s->fd3, 3) < 0)
		goto failed;
	if (p->change_user && (setgroups((size_t)p->group_count, p->groups) < 0 ||
			       setresgid(s->gid, s->gid, s->gid) < 0 ||
			       setresuid(s->uid, s->uid, s->uid) < 0))
		goto failed;
	if (chdir("/") < 0)
		goto failed;
	execve(s->argv[0], s->argv, p->envp);
failed:
	saved = errno;
	if (write(p->report_fd, &saved, sizeof(saved)) < 0)
		_exit(126);
	_exit(127);
}

static int look_up_user(struct plan *p, char *home, size_t size, struct err *err)
{
	struct passwd pw, *found = NULL;
	char space[4096];

	snprintf(home, size, "HOME=/");
	getpwuid_r(p->s->uid, &pw, space, sizeof(space), &found);
	if (found)
		snprintf(home, size, "HOME=%s", pw.pw_dir);
	p->change_user = geteuid() == 0 && p->s->uid != 0;
	if (!p->change_user)
		return 0;
	p->group_count = GROUPS_MAX;
	if (!found) {
		p->groups[0] = p->s->gid;
		p->group_count = 1;
	} else if (getgrouplist(pw.pw_name, p->s->gid, p->groups, &p->group_count) < 0) {
		return err_set(err, ERR_PERMISSION, "user %s is in more than %d groups", pw.pw_name,
			       GROUPS_MAX);
	}
	return 0;
}

pid_t spawn(const struct spawn *s, struct err *err)
{
	char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	char lang[] = "LC_ALL=C.UTF-8";
	char home[4200], journal[300];
	const char *stream = getenv("JOURNAL_STREAM");
	cleanup_free struct plan *p = calloc(1, sizeof(*p));
	cleanup_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	cleanup_close int report = -1;
	int pipe_fd[2], why = 0, n = 0;
	ssize_t got;
	pid_t pid;

	if (!p)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	p->s = s;
	if (look_up_user(p, home, sizeof(home), err) < 0)
		return -1;
	p->envp[n++] = path;
	p->envp[n++] = lang;
	p->envp[n++] = home;
	if (stream && s->stderr_fd < 0) {
		snprintf(journal, sizeof(journal), "JOURNAL_STREAM=%s", stream);
		p->envp[n++] = journal;
	}
	for (int i = 0; s->env && s->env[i] && i < SPAWN_ENV_MAX; i++)
		p->envp[n++] = s->env[i];
	p->parent = getpid();
	if (null < 0 || pipe2(pipe_fd, O_CLOEXEC) < 0)
		return err_set_errno(err, errno, "could not start %s", s->argv[0]);
	report = pipe_fd[0];
	p->null_fd = null;
	/* Out of the way of the descriptors that the child puts in place. */
	p->report_fd = fcntl(pipe_fd[1], F_DUPFD_CLOEXEC, 10);
	close(pipe_fd[1]);
	pid = fork();
	if (pid == 0)
		child(p);
	close(p->report_fd);
	if (pid < 0)
		return err_set_errno(err, errno, "could not start %s", s->argv[0]);
	do
		got = read(report, &why, sizeof(why));
	while (got < 0 && errno == EINTR);
	if (got == 0)
		return pid;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return err_set_errno(err, why ? why : EIO, "could not start %s", s->argv[0]);
}
