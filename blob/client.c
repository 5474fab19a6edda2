#include <config.h>

#include "blob/client.h"

#include <stdlib.h>
#include <string.h>

#include "blob/base/log.h"
#include "blob/clock.h"
#include "blob/op.h"

static unsigned or_default(unsigned value, unsigned fallback)
{
	return value ? value : fallback;
}

static struct blob_client_options complete(const struct blob_client_options *o)
{
	static const struct blob_client_options none;

	if (!o)
		o = &none;
	return (struct blob_client_options){
		.io_threads = or_default(o->io_threads, 1),
		.connections = or_default(o->connections, 16),
		.deadline_ms = or_default(o->deadline_ms, 120000),
		.connect_ms = or_default(o->connect_ms, 10000),
		.stall_ms = or_default(o->stall_ms, 30000),
		.first_contact_ms = or_default(o->first_contact_ms, 5000),
	};
}

static struct account_box *new_box(const struct blob_account *account, struct err *err)
{
	struct account_box *box = calloc(1, sizeof(*box));

	if (!box) {
		err_set(err, ERR_NO_MEMORY, "not enough memory for an account");
		return NULL;
	}
	if (account_copy(&box->account, account, err) < 0) {
		free(box);
		return NULL;
	}
	return box;
}

struct blob_client *blob_client_new(const struct blob_account *account,
				    const struct blob_client_options *options, struct err *err)
{
	struct blob_client *c = calloc(1, sizeof(*c));
	struct account_box *box;

	if (!c) {
		err_set(err, ERR_NO_MEMORY, "not enough memory for a storage client");
		return NULL;
	}
	c->options = complete(options);
	pthread_mutex_init(&c->reread_lock, NULL);
	blob_new_guid(c->id);
	box = new_box(account, err);
	atomic_store(&c->account, box);
	if (box)
		c->transport = transport_new(&(struct transport_options){
			.threads = c->options.io_threads,
			.connections = c->options.connections,
			.connect_ms = c->options.connect_ms,
			.stall_ms = c->options.stall_ms,
		}, err);
	if (!c->transport) {
		blob_client_free(c);
		return NULL;
	}
	return c;
}

void blob_client_set_reread(struct blob_client *c, blob_reread_fn *reread)
{
	c->reread = reread;
}

void blob_client_abort(struct blob_client *c)
{
	transport_abort(c->transport);
}

void blob_client_free(struct blob_client *c)
{
	struct account_box *box, *older;

	if (!c)
		return;
	transport_free(c->transport);
	for (box = atomic_load(&c->account); box; box = older) {
		older = box->older;
		account_free(&box->account);
		free(box);
	}
	pthread_mutex_destroy(&c->reread_lock);
	free(c);
}

const struct blob_account *blob_client_account(const struct blob_client *c)
{
	return &atomic_load(&c->account)->account;
}

void blob_client_stats(struct blob_client *c, struct blob_client_stats *out)
{
	out->requests = atomic_load(&c->requests);
	out->retries = atomic_load(&c->retries);
	out->bytes_in = atomic_load(&c->bytes_in);
	out->bytes_out = atomic_load(&c->bytes_out);
	out->last_error = atomic_load(&c->last_error);
	out->troubled = atomic_load(&c->troubled);
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

/* Read the account again; a new one goes in front of the old. */
static bool read_again(struct blob_client *c, struct account_box *old)
{
	struct blob_account fresh = { 0 };
	struct account_box *box = NULL;
	struct err err;

	if (c->reread(&fresh, &old->account, &err) < 0) {
		log_warn("%s: %s", old->account.reread, err.msg);
		return false;
	}
	if (!same_text(fresh.endpoint, old->account.endpoint))
		/* Whoever reads on from another account reads another blob. */
		log_warn("%s now names the endpoint %s: it is used from the next mount on",
			 old->account.reread, fresh.endpoint);
	else if (fresh.kind != old->account.kind || !same_text(fresh.key, old->account.key) ||
		 !same_text(fresh.sas, old->account.sas))
		box = new_box(&fresh, NULL);
	account_free(&fresh);
	if (!box)
		return false;
	box->older = old;
	atomic_store(&c->account, box);
	log_info("%s: the credential of account %s has changed", old->account.reread,
		 old->account.name);
	return true;
}

bool client_credential_changed(struct blob_client *c, const struct account_box *used)
{
	struct account_box *current;
	bool changed;

	pthread_mutex_lock(&c->reread_lock);
	current = atomic_load(&c->account);
	changed = current != used;
	if (!changed && c->reread && current->account.reread)
		changed = read_again(c, current);
	pthread_mutex_unlock(&c->reread_lock);
	return changed;
}

static const char *no_header(const struct blob_reply *reply, const char *name)
{
	return NULL;
}

void blob_op_submit(struct blob_op *op, blob_done_fn *done, void *arg)
{
	uint64_t now = clock_ms();

	if (!op) {
		struct blob_reply reply = { .header = no_header };

		err_set(&reply.err, ERR_NO_MEMORY, "not enough memory for a request");
		done(arg, &reply);
		return;
	}
	op->done = done;
	op->arg = arg;
	op->begun_ms = now + op->delay_ms;
	op->transfer.start_ms = op->begun_ms;
	op->transfer.deadline_ms =
		op->begun_ms + or_default(op->deadline_ms, op->client->options.deadline_ms);
	op->transfer.prepare = attempt_prepare;
	op->transfer.done = attempt_done;
	transport_submit(op->client->transport, &op->transfer);
}

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool over;
	blob_done_fn *look;
	void *arg;
	struct err *err;
	int rc;
};

static void wake_waiter(void *arg, const struct blob_reply *reply)
{
	struct waiter *w = arg;

	/* The waiting thread touches nothing of this until it is over. */
	if (w->look)
		w->look(w->arg, reply);
	w->rc = reply->err.code ? -1 : 0;
	if (w->rc < 0 && w->err)
		*w->err = reply->err;
	pthread_mutex_lock(&w->lock);
	w->over = true;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

int blob_op_perform(struct blob_op *op, blob_done_fn *look, void *arg, struct err *err)
{
	struct waiter w = {
		.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER,
		.look = look, .arg = arg, .err = err,
	};

	blob_op_submit(op, wake_waiter, &w);
	pthread_mutex_lock(&w.lock);
	while (!w.over)
		pthread_cond_wait(&w.changed, &w.lock);
	pthread_mutex_unlock(&w.lock);
	return w.rc;
}
