/* upload_send.c - the requests of one slot, one after the other. */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "blob/upload_pool.h"

/* A page write whose outcome is unknown may be repeated here: every page is
 * written once in an upload, so a delayed first copy brings the same bytes. */
#define MAX_ATTEMPTS 10

static void send_piece(struct upload_slot *s);

void upload_block_id(const struct upload *u, uint64_t offset, char out[UPLOAD_BLOCK_ID_MAX])
{
	snprintf(out, UPLOAD_BLOCK_ID_MAX, "%s-%012llx", u->block_prefix, (unsigned long long)offset);
}

/* The lease has changed its id since the request was sent: its refusal says
 * nothing about now. */
static bool is_outdated(const struct upload_slot *s)
{
	const struct upload_lease *lease = s->u->lease;
	char id[BLOB_LEASE_ID_MAX];
	uint64_t generation;

	return lease && lease->current(lease->arg, id, &generation) == 0 &&
	       generation != s->generation;
}

static bool should_repeat(struct upload_slot *s, const struct blob_reply *reply)
{
	/* Damaged on the way, or the outcome is unknown. */
	if (blob_is_damaged(&reply->err))
		return ++s->attempts < MAX_ATTEMPTS;
	if (reply->outcome_unknown && reply->err.code != ERR_CANCELLED)
		return ++s->attempts < MAX_ATTEMPTS;
	return reply->err.code == ERR_LEASE_LOST && is_outdated(s);
}

static void piece_done(void *arg, const struct blob_reply *reply)
{
	struct upload_slot *s = arg;
	struct upload *u = s->u;
	bool go_on;

	if (reply->err.code != ERR_NONE) {
		if (should_repeat(s, reply))
			send_piece(s);
		else
			upload_slot_done(s, &reply->err);
		return;
	}
	pthread_mutex_lock(&u->lock);
	u->stats.sent += s->pieces[s->next].len;
	go_on = ++s->next < s->count && !u->failed;
	pthread_mutex_unlock(&u->lock);
	s->attempts = 0;
	if (go_on)
		send_piece(s);
	else
		upload_slot_done(s, NULL);
}

/* The lease to send under: a copy, as the next one may come at any moment. */
static const char *lease_id(struct upload_slot *s, char out[BLOB_LEASE_ID_MAX])
{
	struct upload *u = s->u;
	char id[BLOB_LEASE_ID_MAX];
	uint64_t generation;

	if (!u->lease)
		return NULL;
	pthread_mutex_lock(&u->lock);
	if (u->lease->current(u->lease->arg, id, &generation) == 0) {
		memcpy(u->lease_id, id, sizeof(id));
		s->generation = generation;
	}
	memcpy(out, u->lease_id, BLOB_LEASE_ID_MAX);
	pthread_mutex_unlock(&u->lock);
	return out;
}

static void send_piece(struct upload_slot *s)
{
	struct upload *u = s->u;
	const struct upload_piece *p = &s->pieces[s->next];
	struct iovec iov = { .iov_base = s->data + p->offset, .iov_len = p->len };
	char id[UPLOAD_BLOCK_ID_MAX];

	if (*u->block_prefix) {
		upload_block_id(u, s->offset, id);
		blob_put_block_start(u->client, u->ref, id, &iov, 1, p->md5, NULL, piece_done,
				     s);
	} else {
		blob_put_pages_start(u->client, u->ref, s->offset + p->offset, &iov, 1,
				     p->md5, lease_id(s, id), piece_done, s);
	}
}

void upload_slot_send(struct upload_slot *s)
{
	struct upload *u = s->u;
	bool failed;

	s->next = 0;
	s->attempts = 0;
	pthread_mutex_lock(&u->lock);
	s->state = SLOT_SENDING;
	failed = u->failed;
	pthread_mutex_unlock(&u->lock);
	if (failed)
		upload_slot_done(s, NULL);
	else
		send_piece(s);
}
