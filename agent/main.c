/*
 * hpcagentd - the node agent: owns the mounts of a node (or of one user).
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "agent/agent.h"
#include "agent/runtime_dir.h"
#include "blob/base/cleanup.h"
#include "blob/base/log.h"
#include "blob/config.h"

/* For the last replies to go out, and for mounts under way to be taken back. */
#define LAST_WORDS_S 60

struct command {
	const char *config, *runtime_dir;
	bool foreground;
	unsigned verbose, idle_exit_s;
};

static const char usage[] =
	"Usage: hpcagentd [OPTION]...\n"
	"Keep the drives of this node (as root) or of one user mounted.\n"
	"\n"
	"  --foreground         do not go into the background; log to stderr\n"
	"  --config FILE        read FILE instead of the usual hpcpack.conf\n"
	"  --runtime-dir DIR    keep the socket and the state of the mounts in DIR\n"
	"  --idle-exit SECONDS  end when there has been no mount for so long\n"
	"  -v, --verbose        log more; twice: still more\n"
	"      --help           show this and exit\n"
	"      --version        show the version and exit\n"
	"\n"
	"SIGTERM unmounts everything and ends it (with stop_leaves_mounts in\n"
	"hpcpack.conf: ends it); SIGUSR1 ends it and leaves the mounts in use. A new\n"
	"agent in the same DIR takes them over.\n";

/* -1: go on; else exit with it. */
static int parse_command(int argc, char *argv[], struct command *c)
{
	static const struct option options[] = {
		{ "foreground", no_argument, NULL, 'f' },
		{ "config", required_argument, NULL, 'c' },
		{ "runtime-dir", required_argument, NULL, 'r' },
		{ "idle-exit", required_argument, NULL, 'i' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	char *end;
	int o;

	while ((o = getopt_long(argc, argv, "v", options, NULL)) != -1) {
		switch (o) {
		case 'f':
			c->foreground = true;
			break;
		case 'c':
			c->config = optarg;
			break;
		case 'r':
			c->runtime_dir = optarg;
			break;
		case 'i':
			c->idle_exit_s = (unsigned)strtoul(optarg, &end, 10);
			if (*end || end == optarg) {
				fprintf(stderr, "hpcagentd: --idle-exit %s: a number of seconds is needed\n",
					optarg);
				return 2;
			}
			break;
		case 'v':
			c->verbose++;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'V':
			printf("hpcagentd %s\n", PACKAGE_VERSION);
			return 0;
		default:
			fputs("Try 'hpcagentd --help'.\n", stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "hpcagentd: %s: no arguments are taken; try 'hpcagentd --help'\n",
			argv[optind]);
		return 2;
	}
	return -1;
}

/* Requests hold keys. */
static void no_core_dumps(void)
{
	static const struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
}

static void raise_descriptor_limit(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

/* Before any thread, so that all of them have these blocked. */
static int catch_signals(struct err *err)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	return fd < 0 ? err_set_errno(err, errno, "signalfd") : fd;
}

static int set_up(struct agent *a, const struct command *c, struct err *err)
{
	cleanup_free char *dir = c->runtime_dir ? strdup(c->runtime_dir) : runtime_dir_default(err);
	bool shared;

	mounts_init(&a->mounts);
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->quiet, NULL);
	utc_now(a->since);
	a->idle_since_ms = monotonic_ms();
	if (!dir || settings_load(&a->settings, c->config, err) < 0)
		return -1;
	a->settings.idle_exit_s = c->idle_exit_s;
	a->settings.log_level += c->verbose;
	if (a->settings.log_level > LOG_LEVEL_DEBUG)
		a->settings.log_level = LOG_LEVEL_DEBUG;
	log_init("hpcagentd", (enum log_level)a->settings.log_level);
	a->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	a->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (a->wake_fd < 0 || a->cancel_fd < 0)
		return err_set_errno(err, errno, "eventfd");
	shared = geteuid() == 0 && a->settings.socket_group;
	return runtime_dir_take(dir, shared, &a->settings.runtime_dir, err);
}

/* The parent stays until the child says that it listens, or ends. */
static int go_into_background(struct err *err)
{
	int pipe_fd[2];
	char byte;
	pid_t pid;

	if (pipe2(pipe_fd, O_CLOEXEC) < 0)
		return err_set_errno(err, errno, "pipe");
	pid = fork();
	if (pid < 0)
		return err_set_errno(err, errno, "fork");
	if (pid > 0) {
		close(pipe_fd[1]);
		_exit(read(pipe_fd[0], &byte, 1) == 1 ? 0 : 1);
	}
	close(pipe_fd[0]);
	setsid();
	return pipe_fd[1];
}

static void detach_from_terminal(const struct agent *a, int ready)
{
	cleanup_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	cleanup_close int log = -1;
	char path[4200];

	snprintf(path, sizeof(path), "%s/agent.log", a->settings.runtime_dir);
	log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(log >= 0 ? log : null, STDERR_FILENO);
	/* stderr is no longer the journal's, if it was. */
	unsetenv("JOURNAL_STREAM");
	log_init("hpcagentd", log_level());
	if (chdir("/") < 0 || write(ready, "", 1) < 0)
		log_warn("could not tell the parent that the agent is ready");
}

static void tell_systemd(const char *state)
{
#ifdef HAVE_SYSTEMD
	sd_notify(0, state);
#else
	log_debug("%s", state);
#endif
}

static void finish(struct agent *a)
{
	struct timespec until;
	bool clean = true;

	tell_systemd("STOPPING=1\nSTATUS=Unmounting");
	eventfd_write(a->cancel_fd, 1);
	if (a->end == AGENT_UNMOUNTS)
		clean = unmount_all(a);
	package_sync_stop(a->sync);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += LAST_WORDS_S;
	pthread_mutex_lock(&a->lock);
	a->ended = true;
	a->clean = clean;
	pthread_cond_broadcast(&a->quiet);
	while (a->connections && pthread_cond_timedwait(&a->quiet, &a->lock, &until) != ETIMEDOUT)
		;
	if (!a->connections)
		package_sync_free(a->sync);
	pthread_mutex_unlock(&a->lock);
	log_info("ended%s", a->end == AGENT_LEAVES_MOUNTS ? "; the mounts stay" : "");
}

static int run(struct agent *a, const struct command *c, int signals, int ready, struct err *err)
{
	cleanup_close int listener = -1;

	/* First the listing, then the listening: who asks finds everything. */
	adopt_mounts(a);
	listener = server_listen(a, err);
	if (listener < 0)
		return -1;
	log_info("version %s listens in %s", PACKAGE_VERSION, a->settings.runtime_dir);
	if (!c->foreground) {
		detach_from_terminal(a, ready);
		close(ready);
	}
	if (!package_sync_awaited(&a->settings))
		tell_systemd("READY=1\nSTATUS=Serving");
	a->sync = package_sync_start(&a->settings, a->cancel_fd, tell_systemd, err);
	if (!a->sync)
		return -1;
	server_run(a, listener, signals);
	close(steal_fd(&listener));
	finish(a);
	return 0;
}

int main(int argc, char *argv[])
{
	/* Threads that watch mounts may outlive main's frame at the end. */
	static struct agent agent;
	struct command c = { .foreground = false };
	cleanup_close int lock = -1;
	struct err err;
	int rc, signals, ready = -1;

	rc = parse_command(argc, argv, &c);
	if (rc >= 0)
		return rc;
	log_init("hpcagentd", LOG_LEVEL_INFO);
	umask(022);
	no_core_dumps();
	raise_descriptor_limit();
	signals = catch_signals(&err);
	if (signals >= 0 && !c.foreground)
		ready = go_into_background(&err);
	if (signals < 0 || (!c.foreground && ready < 0) || (lock = set_up(&agent, &c, &err)) < 0 ||
	    run(&agent, &c, signals, ready, &err) < 0) {
		log_error("%s", err.msg);
		return 1;
	}
	/* Nothing secret is left in memory, and leak checkers have to look at it. */
	prctl(PR_SET_DUMPABLE, 1);
	return agent.clean ? 0 : 1;
}
