/*
 * upload_run.c - the transfer.
 *
 * A page blob can't be replaced while it is written, so it is built beside its
 * place, as NAME.hpcpack-upload, under a lease (a second upload of the same name
 * learns whose it is; one that was abandoned is taken over when its lease has
 * run out), the footer last. When it is whole, the service copies it over NAME
 * and it is deleted. Block blobs replace by their commit.
 */
#include <config.h>

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "blob/base/log.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/upload_job.h"
#include "vhd/lease.h"

#define TEMP_LEASE_S 60
#define COPY_DEADLINE_MS (24u * 3600 * 1000)
#define CLEAN_UP_DEADLINE_MS 15000

/* The temporary blob. */
struct temp {
	struct upload_job *job;
	struct blob_ref ref;
	struct store store;
	struct lease_keeper *keeper;
	char lease_id[BLOB_LEASE_ID_MAX];   /* the last good one */
};

static void show_progress(void *arg, uint64_t done, uint64_t total)
{
	progress_bar(arg, done, total);
}

static void fill_holder(struct lease_holder *h)
{
	const struct passwd *user = getpwuid(geteuid());
	time_t now = time(NULL);
	struct tm tm;

	if (gethostname(h->host, sizeof(h->host) - 1) < 0)
		snprintf(h->host, sizeof(h->host), "unknown");
	if (user)
		snprintf(h->user, sizeof(h->user), "%s", user->pw_name);
	else
		snprintf(h->user, sizeof(h->user), "%u", (unsigned)geteuid());
	strftime(h->since, sizeof(h->since), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
	h->pid = getpid();
}

static void lease_changed(void *arg, enum lease_state state)
{
	log_debug("the lease of the temporary blob is %s", lease_state_name(state));
}

static int temp_lease(void *arg, char id[BLOB_LEASE_ID_MAX], uint64_t *generation)
{
	struct temp *t = arg;

	return lease_current(t->keeper, id, generation);
}

static int acquire(struct temp *t, struct err *err)
{
	struct lease_options lease = { .duration_s = TEMP_LEASE_S, .changed = lease_changed };
	uint64_t generation;

	fill_holder(&lease.holder);
	t->keeper = lease_keeper_start(&t->store, &lease, err);
	if (!t->keeper) {
		if (err->code == ERR_LEASE_HELD)
			err_prefix(err, "%s/%s: another upload of it is under way", t->ref.container,
				   t->job->target.blob);
		return -1;
	}
	if (lease_current(t->keeper, t->lease_id, &generation) < 0)
		return err_set(err, ERR_LEASE_LOST, "%s/%s: the lease was lost at once", t->ref.container,
			       t->ref.blob);
	/* Its ETag will change with every page. */
	lease_saw_etag(t->keeper, NULL);
	return 0;
}

/* Make it anew under the lease, so that nothing of an abandoned one is left, with
 * the holder record that is in its metadata now. */
static int wipe(struct temp *t, struct err *err)
{
	struct blob_client *c = t->job->control;
	struct blob_props props;
	int rc;

	if (blob_get_props(c, &t->ref, &props, err) < 0)
		return -1;
	rc = blob_create_page(c, &t->ref, t->job->blob_size, &props.meta, false, t->lease_id, err);
	blob_props_free(&props);
	return rc;
}

static int open_temp(struct temp *t, struct err *err)
{
	struct upload_job *job = t->job;

	if (blob_create_page(job->control, &t->ref, job->blob_size, NULL, true, NULL, err) < 0 &&
	    err->code != ERR_EXISTS)
		return -1;
	if (store_blob_new(&t->store, job->control, job->control, &t->ref, err) < 0)
		return -1;
	return acquire(t, err) < 0 ? -1 : wipe(t, err);
}

static int transfer(struct temp *t, struct err *err)
{
	struct upload_job *job = t->job;
	struct upload_lease lease = { .current = temp_lease, .arg = t };
	struct progress progress;
	struct upload_options o = { .block_size = job->block_size, .progress = show_progress, .arg = &progress };
	int rc;

	progress_start(&progress, job->target.blob, !job->options->count[OPT_QUIET]);
	rc = upload_pages(job->data, &t->ref, &job->source, job->file_bytes,
			  job->is_vhd ? job->footer : NULL, &lease, &o, &job->stats, err);
	progress_end(&progress);
	return rc;
}

/* What is copied is never the temporary's metadata: that names us as the holder. */
static int put_in_place(struct temp *t, struct err *err)
{
	struct upload_job *job = t->job;

	interrupt_hold();
	if (blob_copy(job->control, &t->ref, &job->target, &job->meta, NULL, COPY_DEADLINE_MS, err) == 0)
		return 0;
	if (err->code == ERR_LEASE_LOST || err->code == ERR_LEASE_HELD)
		err_append(err, "; it was mounted while the upload went on: unmount it, and upload again");
	return -1;
}

/* With a client of its own: ours may have been aborted. Nothing is wrong with
 * the upload when this fails, so `err` only gains a word about it. */
static void remove_temp(struct temp *t, struct err *err)
{
	const struct blob_client_options o = { .connections = 1, .deadline_ms = CLEAN_UP_DEADLINE_MS };
	struct err why;
	struct blob_client *c;
	uint64_t generation;

	if (!t->keeper)
		return;
	lease_current(t->keeper, t->lease_id, &generation);
	c = blob_client_new(t->job->account, &o, &why);
	if ((!c || blob_delete(c, &t->ref, t->lease_id, &why) < 0) && why.code != ERR_NOT_FOUND) {
		log_info("%s", why.msg);
		if (err)
			err_append(err, "; what was sent so far stays behind as %s until the next upload of it",
				   t->ref.blob);
		else
			log_warn("%s/%s could not be deleted: %s", t->ref.container, t->ref.blob, why.msg);
	}
	if (c)
		blob_client_free(c);
	lease_keeper_stop(t->keeper, false, NULL);
}

static int run_page(struct upload_job *job, struct err *err)
{
	cleanup_free char *name = NULL;
	struct temp t = { .job = job };
	int rc;

	if (asprintf(&name, "%s" UPLOAD_TEMP_SUFFIX, job->target.blob) < 0)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	if (blob_check_blob_name(name, err) < 0)
		return -1;
	t.ref = (struct blob_ref){ .container = job->target.container, .blob = name };
	rc = open_temp(&t, err);
	if (rc == 0)
		rc = transfer(&t, err);
	if (rc == 0)
		rc = put_in_place(&t, err);
	remove_temp(&t, rc < 0 ? err : NULL);
	if (t.store.impl)
		store_blob_free(&t.store);
	return rc;
}

static int run_block(struct upload_job *job, struct err *err)
{
	struct progress progress;
	struct upload_options o = { .block_size = job->block_size, .progress = show_progress, .arg = &progress };
	int rc;

	progress_start(&progress, job->target.blob, !job->options->count[OPT_QUIET]);
	rc = upload_blocks(job->data, &job->target, &job->source, &job->meta, &o, &job->stats, err);
	progress_end(&progress);
	return rc;
}

int upload_run(struct upload_job *job, struct err *err)
{
	return job->type == BLOB_TYPE_PAGE ? run_page(job, err) : run_block(job, err);
}
