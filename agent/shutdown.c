/*
 * The end of the agent: unmounting everything first, if it is to.
 */
#include <config.h>

#include <pthread.h>
#include <stdlib.h>

#include "agent/agent.h"
#include "blob/base/log.h"

struct farewell {
	struct agent *agent;
	struct mount *mount;
	pthread_t thread;
	bool clean;
};

/* Busy ones are detached lazily: who uses them keeps them, and the worker, until
 * he is done; a later agent that finds them finishes it. */
static void *end_one(void *arg)
{
	struct farewell *f = arg;
	struct mount *m = f->mount;
	bool pending, gone = true;
	struct err err;

	f->clean = true;
	if (!mounts_claim(&f->agent->mounts, m))
		return NULL;
	if (mount_end(f->agent, m, false, NULL, &pending, &gone, &err) < 0) {
		log_error("%s: %s", m->blob, err.msg);
		f->clean = false;
		if (!gone && !pending && mount_end(f->agent, m, true, NULL, &pending, &gone, &err) < 0)
			log_error("%s: %s", m->blob, err.msg);
	}
	if (!gone)
		mounts_release(&f->agent->mounts, m);
	return NULL;
}

bool unmount_all(struct agent *a)
{
	struct mount **mounts = mounts_all(&a->mounts, 0);
	struct farewell *all;
	size_t count = 0;
	bool clean = mounts != NULL;

	while (mounts && mounts[count])
		count++;
	all = calloc(count + 1, sizeof(*all));
	for (size_t i = 0; all && i < count; i++) {
		all[i].agent = a;
		all[i].mount = mounts[i];
		if (pthread_create(&all[i].thread, NULL, end_one, &all[i])) {
			end_one(&all[i]);
			all[i].thread = pthread_self();
		}
	}
	for (size_t i = 0; i < count; i++) {
		if (all && !pthread_equal(all[i].thread, pthread_self()))
			pthread_join(all[i].thread, NULL);
		clean = clean && all && all[i].clean;
		mount_unref(&a->mounts, mounts[i]);
	}
	free(all);
	free(mounts);
	return clean;
}
