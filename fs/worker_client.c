#include <config.h>

#include "fs/worker.h"

#include "blob/credentials.h"

/* What opens and closes a mount, and lets a person wait, gives up sooner than the
 * I/O of a job. Lease renewals bring deadlines of their own. */
#define CONTROL_DEADLINE_MS 15000

#define DATA_THREADS 2
#define DATA_CONNECTIONS 16
#define CONTROL_CONNECTIONS 2

unsigned worker_connections(const struct worker *w)
{
	return w->job.connections ? w->job.connections : DATA_CONNECTIONS;
}

static struct blob_client *new_client(struct worker *w, const struct blob_client_options *o, struct err *err)
{
	struct blob_client *c = blob_client_new(&w->job.account, o, err);

	if (c)
		blob_client_set_reread(c, credentials_reread);
	return c;
}

int worker_open_clients(struct worker *w, struct err *err)
{
	unsigned patience = w->job.io_deadline_ms < CONTROL_DEADLINE_MS ? w->job.io_deadline_ms : CONTROL_DEADLINE_MS;
	struct blob_client_options data_options = { .io_threads = w->job.io_threads ? w->job.io_threads : DATA_THREADS,
						    .connections = worker_connections(w),
						    .deadline_ms = w->job.io_deadline_ms };
	struct blob_client_options control_options = { .io_threads = 1, .connections = CONTROL_CONNECTIONS,
						       .deadline_ms = patience };
	struct blob_client *data, *control = NULL;

	data = new_client(w, &data_options, err);
	if (data)
		control = new_client(w, &control_options, err);
	pthread_mutex_lock(&w->lock);
	w->data = data;
	w->control_client = control;
	pthread_mutex_unlock(&w->lock);
	return control ? worker_check_stop(w, err) : -1;
}

void worker_free_clients(struct worker *w)
{
	struct blob_client *data = w->data, *control = w->control_client;

	pthread_mutex_lock(&w->lock);
	w->data = NULL;
	w->control_client = NULL;
	pthread_mutex_unlock(&w->lock);
	if (data)
		blob_client_free(data);
	if (control)
		blob_client_free(control);
}

struct both {
	struct blob_client_stats data, control;
};

static struct both stats_of(struct worker *w)
{
	struct both s = { .data = { .requests = 0 } };

	if (w->data)
		blob_client_stats(w->data, &s.data);
	if (w->control_client)
		blob_client_stats(w->control_client, &s.control);
	return s;
}

void worker_count_requests(struct worker *w, uint64_t *requests, uint64_t *retries)
{
	struct both s = stats_of(w);

	*requests = s.data.requests + s.control.requests;
	*retries = s.data.retries + s.control.retries;
}

void worker_report_clients(struct worker *w, struct worker_report *out)
{
	struct both s = stats_of(w);

	if (s.data.troubled || s.control.troubled)
		worker_set(out, WORKER_DEGRADED, "the last request to storage failed (%s)",
			   err_code_name((enum err_code)(s.data.troubled ? s.data.last_error : s.control.last_error)));
	else
		worker_set(out, WORKER_READY, "%s", "");
}
