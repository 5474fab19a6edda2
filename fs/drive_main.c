/*
 * hpcpack-drive: the worker of one mounted drive.
 */
#include <config.h>

#include "fs/drive.h"

/* Nothing was written yet. With a lease or snapshot in hand the control client is
 * needed to give it back. */
static void give_up(struct worker *w)
{
	if (w->data)
		blob_client_abort(w->data);
	if (w->control_client && !drive_of(w)->holding)
		blob_client_abort(w->control_client);
}

static void serving(struct worker *w)
{
	if (drive_of(w)->snapshot_own)
		drive_sweep_snapshots(drive_of(w));
}

static const struct worker_ops ops = {
	.program = "hpcpack-drive",
	.kind = JOB_DRIVE,
	.storage = true,
	.open = drive_open,
	.serving = serving,
	.close = drive_close,
	.ready = drive_ready,
	.status = drive_status,
	.stats = drive_stats,
	.report = drive_report,
	.give_up = give_up,
	.moved = drive_moved,
	.sync = drive_sync,
	.request = drive_request,
	.requests = "status, sync, window and stop",
};

int main(int argc, char **argv)
{
	struct drive d = { .w = { .ops = &ops }, .hook_lock = PTHREAD_MUTEX_INITIALIZER };

	return worker_main(&d.w, argc, argv);
}
