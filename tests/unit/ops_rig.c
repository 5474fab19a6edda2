#include <config.h>

#include "tests/unit/ops_rig.h"

const char *endpoint;
struct blob_client *client;
char container[64];
struct err err;

const char *const odd_names[ODD_NAMES] = {
	"plain.vhd", "dir/sub/a b.vhd", "100%+1&2=3?#.vhd", "für später/ü.vhd", "a~!@$'()*,;:[].vhd",
	"%41", "back\\slash",
};

void refused(int rc, enum err_code code, const char *service_code)
{
	assert_int_equal(rc, -1);
	if (err.code != code || (service_code && strcmp(service_code, err.service_code) != 0))
		fail_msg("%s %s: %s", err_code_name(err.code), err.service_code, err.msg);
}

struct blob_ref ref(const char *name)
{
	return (struct blob_ref){ .container = container, .blob = name };
}

void remember(void *arg, const struct blob_reply *reply)
{
	struct waited *w = arg;

	w->err = reply->err;
	w->unknown = reply->outcome_unknown;
	snprintf(w->etag, sizeof(w->etag), "%s", reply->etag);
	waited_signal(w);
}

void remember_md5(void *arg, const struct blob_reply *reply)
{
	struct sum *sum = arg;
	const char *md5 = reply->header(reply, "Content-MD5");

	snprintf(sum->md5, sizeof(sum->md5), "%s", md5 ? md5 : "");
	remember(&sum->w, reply);
}

int put_pages(const struct blob_ref *r, uint64_t offset, const void *data, size_t len,
		     const char *lease)
{
	struct iovec iov[2] = { { (void *)(uintptr_t)data, len / 3 },
				{ (char *)(uintptr_t)data + len / 3, len - len / 3 } };
	struct waited w = WAITED_INIT;

	blob_put_pages_start(client, r, offset, iov, 2, NULL, lease, remember, &w);
	waited_wait(&w);
	err = w.err;
	return err.code ? -1 : 0;
}

int clear_pages(const struct blob_ref *r, uint64_t offset, uint64_t len, const char *lease)
{
	struct waited w = WAITED_INIT;

	blob_clear_pages_start(client, r, offset, len, lease, remember, &w);
	waited_wait(&w);
	err = w.err;
	return err.code ? -1 : 0;
}

void fill(unsigned char *data, size_t len, unsigned seed)
{
	size_t i;

	for (i = 0; i < len; i++)
		data[i] = (unsigned char)(i * 7 + i / 512 + seed);
}

struct blob_client *client_with(struct blob_account account)
{
	struct blob_client *c;

	account.name = (char[]){ "devstoreaccount1" };
	account.endpoint = (char *)(uintptr_t)endpoint;
	account.source = (char[]){ "--key" };
	c = blob_client_new(&account, &(struct blob_client_options){ .deadline_ms = 30000 }, &err);
	assert_non_null(c);
	return c;
}
