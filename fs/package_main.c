/*
 * hpcpack-package: the worker of a mounted package, or of a container of them.
 */
#include <config.h>

#include "fs/package.h"

static void give_up(struct worker *w)
{
	if (w->data)
		blob_client_abort(w->data);
	if (w->control_client)
		blob_client_abort(w->control_client);
}

/* Nothing is ever written. */
static bool sync_nothing(struct worker *w, worker_done_fn *done, void *arg)
{
	if (w->phase != WORKER_SERVING)
		return false;
	done(arg, NULL);
	return true;
}

static const struct worker_ops ops = {
	.program = "hpcpack-package",
	.kind = JOB_PACKAGE,
	.open = package_open,
	.close = package_close,
	.ready = package_ready,
	.status = package_status,
	.stats = package_stats,
	.report = package_report,
	.give_up = give_up,
	.sync = sync_nothing,
	.requests = "status, sync and stop",
};

int main(int argc, char **argv)
{
	static struct package p = { .w = { .ops = &ops } };

	return worker_main(&p.w, argc, argv);
}
