#include <config.h>

#include "agent/as_user.h"

#include <errno.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

struct errand {
	uid_t uid;
	gid_t gid;
	void (*fn)(void *arg);
	void *arg;
	int why;
};

/* The system calls, not glibc's functions: those change all threads. */
static void *errand_thread(void *p)
{
	struct errand *e = p;

	if (syscall(SYS_setgroups, 0, NULL) < 0 ||
	    syscall(SYS_setresgid, e->gid, e->gid, e->gid) < 0 ||
	    syscall(SYS_setresuid, e->uid, e->uid, e->uid) < 0)
		e->why = errno;
	else
		e->fn(e->arg);
	return NULL;
}

int as_user(uid_t uid, gid_t gid, void (*fn)(void *arg), void *arg)
{
	struct errand e = { .uid = uid, .gid = gid, .fn = fn, .arg = arg };
	pthread_t thread;
	int rc;

	if (geteuid() != 0 || uid == 0) {
		fn(arg);
		return 0;
	}
	rc = pthread_create(&thread, NULL, errand_thread, &e);
	if (rc)
		return rc;
	pthread_join(thread, NULL);
	return e.why;
}
