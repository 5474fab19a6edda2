#include <config.h>

#include "cli/storage.h"

#include <string.h>

#include "blob/credentials.h"
#include "blob/ops.h"

int storage_client_options(struct blob_client_options *out, const struct config *config, struct err *err)
{
	uint64_t connections, threads;

	*out = (struct blob_client_options){ .connections = 0 };
	if (config_time_ms(config, "drive", "io_deadline", 120000, 1000, 86400000, &out->deadline_ms, err) < 0 ||
	    config_size(config, "drive", "connections", 16, 1, 256, &connections, err) < 0 ||
	    config_size(config, "drive", "io_threads", 1, 1, 64, &threads, err) < 0)
		return -1;
	out->connections = (unsigned)connections;
	out->io_threads = (unsigned)threads;
	return 0;
}

int storage_open(struct storage *s, const struct options *o)
{
	struct blob_client_options wanted;
	struct err err;

	*s = (struct storage){ .options = o };
	if (cli_container(o, &s->container, &err) < 0)
		return cli_usage(&err);
	if (cli_account(o, &s->config, &s->account, &err) < 0)
		return cli_fail_account(&err);
	if (storage_client_options(&wanted, s->config, &err) == 0)
		s->client = blob_client_new(&s->account, &wanted, &err);
	if (!s->client) {
		storage_close(s);
		return cli_fail(&err);
	}
	blob_client_set_reread(s->client, credentials_reread);
	return 0;
}

void storage_close(struct storage *s)
{
	if (s->client)
		blob_client_free(s->client);
	account_free(&s->account);
	config_free(s->config);
}

int storage_blob(const struct storage *s, const char *name, struct blob_ref *out)
{
	struct err err;

	*out = (struct blob_ref){ .container = s->container, .blob = name };
	return blob_check_blob_name(name, &err) < 0 ? cli_usage(&err) : 0;
}

int storage_fail(const struct storage *s, struct err *err)
{
	if (err->code == ERR_NOT_FOUND && err->http_status == 404 &&
	    strcmp(err->service_code, "ContainerNotFound") != 0)
		err_append(err, "; hpcpack list --container %s shows what is there", s->container);
	return cli_fail(err);
}
