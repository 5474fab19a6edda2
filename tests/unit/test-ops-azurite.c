/*
 * Every operation of blob/ops.h against a live Azurite, whose endpoint is in
 * HPCPACK_TEST_ENDPOINT (http://127.0.0.1:PORT/devstoreaccount1).
 */
#include <config.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <unistd.h>

#include "blob/sign.h"
#include "blob/url.h"
#include "tests/unit/ops_rig.h"

static void containers(void **state)
{
	char name[80];

	snprintf(name, sizeof(name), "%s-2", container);
	ok(blob_container_create(client, name, &err));
	refused(blob_container_create(client, name, &err), ERR_EXISTS, "ContainerAlreadyExists");
	ok(blob_container_delete(client, name, &err));
	refused(blob_container_delete(client, name, &err), ERR_NOT_FOUND, "ContainerNotFound");
	refused(blob_container_create(client, "Bad_Name", &err), ERR_USAGE, NULL);
}

static void missing(void **state)
{
	struct blob_ref r = ref("nothing"), nowhere = { "no-such-container", "x", NULL };
	struct blob_ref gone = { container, "plain.vhd", "2020-01-01T00:00:00.0000000Z" };
	struct blob_props props;
	struct blob_list list;
	char data[512];

	refused(blob_get_props(client, &r, &props, &err), ERR_NOT_FOUND, "BlobNotFound");
	assert_non_null(strstr(err.msg, "/nothing: no such blob (BlobNotFound, request "));
	refused(blob_get_range(client, &r, 0, data, 512, NULL, &err), ERR_NOT_FOUND, "BlobNotFound");
	refused(blob_get_props(client, &nowhere, &props, &err), ERR_NOT_FOUND, "ContainerNotFound");
	assert_ptr_equal(strstr(err.msg, "no-such-container: no such container"), err.msg);
	refused(blob_list(client, "no-such-container", NULL, 0, &list, &err), ERR_NOT_FOUND,
		"ContainerNotFound");
	refused(blob_get_props(client, &gone, &props, &err), ERR_NOT_FOUND, NULL);
	assert_non_null(strstr(err.msg, "no such snapshot"));
	refused(blob_delete(client, &r, NULL, &err), ERR_NOT_FOUND, "BlobNotFound");
}

static void wrong_key(void **state)
{
	struct blob_client *c = client_with((struct blob_account){
		.kind = ACCOUNT_SHARED_KEY, .key = (char[]){ "d3Jvbmc=" } });
	struct blob_ref r = ref("plain.vhd");
	struct blob_props props;

	refused(blob_get_props(c, &r, &props, &err), ERR_AUTH, NULL);
	assert_non_null(strstr(err.msg, "plain.vhd: the service refuses the key of account "
			       "devstoreaccount1 ("));
	assert_non_null(strstr(err.msg, "; check --key"));
	assert_null(strstr(err.msg, "d3Jvbmc="));
	blob_client_free(c);
}

static void anonymous(void **state)
{
	struct blob_client *c = client_with((struct blob_account){ .kind = ACCOUNT_ANONYMOUS });
	struct blob_ref r = ref("plain.vhd");
	struct blob_props props;

	/* Azurite hides what is private behind a 404. */
	assert_int_equal(blob_get_props(c, &r, &props, &err), -1);
	assert_true(err.code == ERR_AUTH || err.code == ERR_NOT_FOUND);
	blob_client_free(c);
}

/* An account SAS, signed as the service's documentation says. */
static void sas(void **state)
{
	static const char text[] = "devstoreaccount1\nrl\nb\nsco\n\n2099-01-01T00:00:00Z\n\n"
				   "https,http\n2021-12-02\n\n";
	unsigned char key[64], mac[32];
	cleanup_buf struct buf signature = BUF_INIT(64), token = BUF_INIT(512);
	struct blob_ref r = ref("dir/sub/a b.vhd");
	struct blob_props props;
	struct blob_client *c;

	assert_int_equal(EVP_DecodeBlock(key, (const unsigned char *)KEY, 84), 63);
	assert_int_equal(EVP_DecodeBlock(mac, (const unsigned char *)"Gw==", 4), 3);
	key[63] = mac[0];
	HMAC(EVP_sha256(), key, sizeof(key), (const unsigned char *)text, strlen(text), mac, NULL);
	sign_base64(&signature, mac, sizeof(mac));
	buf_addstr(&token, "sv=2021-12-02&ss=b&srt=sco&sp=rl&se=2099-01-01T00%3A00%3A00Z"
		   "&spr=https,http&sig=");
	url_add_encoded(&token, buf_str(&signature));
	c = client_with((struct blob_account){ .kind = ACCOUNT_SAS, .sas = token.data });
	ok(blob_get_props(c, &r, &props, &err));
	blob_props_free(&props);
	refused(blob_delete(c, &r, NULL, &err), ERR_AUTH, NULL);
	assert_non_null(strstr(err.msg, "the service refuses the SAS token of account"));
	blob_client_free(c);
}

static int setup(void **state)
{
	client = client_with((struct blob_account){ .kind = ACCOUNT_SHARED_KEY, .key = (char[]){ KEY } });
	snprintf(container, sizeof(container), "ops-%ld", (long)getpid());
	if (blob_container_create(client, container, &err) < 0) {
		print_error("%s\n", err.msg);
		return -1;
	}
	return 0;
}

static int teardown(void **state)
{
	int rc = blob_container_delete(client, container, &err);

	blob_client_free(client);
	return rc;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(containers),
		cmocka_unit_test(pages),
		cmocka_unit_test(missing),
		cmocka_unit_test(what_cannot_be),
		cmocka_unit_test(beyond_the_end),
		cmocka_unit_test(metadata_and_etags),
		cmocka_unit_test(page_ranges),
		cmocka_unit_test(leases),
		cmocka_unit_test(snapshots),
		cmocka_unit_test(listing),
		cmocka_unit_test(blocks),
		cmocka_unit_test(copying),
		cmocka_unit_test(wrong_key),
		cmocka_unit_test(anonymous),
		cmocka_unit_test(sas),
	};

	endpoint = getenv("HPCPACK_TEST_ENDPOINT");
	if (!endpoint) {
		puts("1..0 # SKIP HPCPACK_TEST_ENDPOINT names no storage service");
		return 0;
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
