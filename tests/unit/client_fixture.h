/* A client and a server that talk to each other. */
#ifndef HPCPACK_TESTS_CLIENT_FIXTURE_H
#define HPCPACK_TESTS_CLIENT_FIXTURE_H

#include <stdio.h>
#include <string.h>

#include "blob/client.h"
#include "blob/ops.h"
#include "tests/unit/unit.h"
#include "tests/unit/httpd.h"
#include "tests/unit/wait.h"

struct fixture {
	struct httpd server;
	struct blob_client *client;
	httpd_handler *handler;  /* of the test */
	unsigned char data[1 << 16];
	_Atomic int seen;        /* whatever the test counts */
};

/* The blob that all tests speak of. */
static const struct blob_ref the_blob = { "c", "dir/b.vhd", NULL };

/* With a key that is base64 and otherwise means nothing; options may be NULL. */
static inline void fixture_client(struct fixture *f, const char *endpoint,
				  const struct blob_client_options *options)
{
	struct blob_account account = {
		.kind = ACCOUNT_SHARED_KEY, .name = (char[]){ "acc" }, .key = (char[]){ "b2xk" },
		.endpoint = (char *)(uintptr_t)endpoint, .source = (char[]){ "--key" },
		.reread = (char[]){ "/some/file" },
	};
	struct err err;

	f->client = blob_client_new(&account, options, &err);
	if (!f->client)
		fail_msg("%s", err.msg);
}

static inline void fixture_start(struct fixture *f, httpd_handler *handler,
				 const struct blob_client_options *options)
{
	size_t i;

	memset(f, 0, sizeof(*f));
	for (i = 0; i < sizeof(f->data); i++)
		f->data[i] = (unsigned char)(i * 13 + i / 256);
	httpd_start(&f->server, handler, f);
	fixture_client(f, f->server.endpoint, options);
}

static inline void fixture_stop(struct fixture *f)
{
	blob_client_free(f->client);
	httpd_stop(&f->server);
}

/* What the tests look at in the end. */
static inline void fixture_remember(void *arg, const struct blob_reply *reply)
{
	struct waited *w = arg;

	w->err = reply->err;
	w->unknown = reply->outcome_unknown;
	snprintf(w->etag, sizeof(w->etag), "%s", reply->etag);
	waited_signal(w);
}

#define assert_code(e, wanted) do { \
	if ((e)->code != (wanted)) \
		fail_msg("%s instead of %s: %s", err_code_name((e)->code), err_code_name(wanted), \
			 (e)->msg); \
} while (0)

#define assert_says(e, part) do { \
	if (!strstr((e)->msg, part)) \
		fail_msg("'%s' does not say '%s'", (e)->msg, part); \
} while (0)

#endif
