/*
 * account.h - one storage account: where it is and what proves who we are.
 *
 * Ground truth: REST reference "Authorize with Shared Key" (x-ms-version
 * 2015-02-21 and later), "Configure connection strings".
 */
#ifndef HPCPACK_BLOB_ACCOUNT_H
#define HPCPACK_BLOB_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>

#include "blob/base/err.h"

enum account_kind {
	ACCOUNT_ANONYMOUS,  /* public containers */
	ACCOUNT_SHARED_KEY,
	ACCOUNT_SAS,
};

/* All strings are owned by the struct; account_free() wipes and frees them. */
struct blob_account {
	enum account_kind kind;
	char *name;       /* account name; never NULL, "" if only an endpoint is known */
	char *endpoint;   /* scheme://host[:port][/path], no slash at the end */
	char *key;        /* base64, as the user gave it; NULL unless SHARED_KEY */
	char *sas;        /* without the leading '?'; NULL unless SAS */
	char *ca_file;    /* PEM for TLS verification; NULL: the system's */
	char *source;     /* where it came from, for messages: "--key",
	                   * "CCP_AZURE_CONNECTIONSTRING", "node template X"... */
	char *reread;     /* file it can be read from again after a 401/403
	                   * (configuration or template); NULL if there is none */
	bool http_chosen; /* the user said http: --use-http, or an http:// endpoint in a
	                   * connection string or file (DefaultEndpointsProtocol is
	                   * too often just copied) */
};

/*
 * Make an account from its parts. `name` is required unless `endpoint` is
 * given (then it is taken from the path of a path-style endpoint, or the first
 * label of the host). At most one of `key` and `sas`; neither is anonymous.
 * The default endpoint is https://NAME.blob.core.windows.net; `use_http`
 * makes a default endpoint http and is refused for an explicit https one.
 * A key that is not base64 and a name outside [a-z0-9]{3,24} are ERR_USAGE.
 * Strings are copied. 0 or -1.
 */
struct account_parts {
	const char *name, *key, *sas, *endpoint, *ca_file;
	bool use_http;
};
int account_from_parts(struct blob_account *out, const struct account_parts *parts,
		       const char *source, struct err *err);

/* From "Name=Value;..." (BLOB-REST.md section 1): case-insensitive names, split
 * at the first '=', UseDevelopmentStorage=true understood. `use_http` and
 * `ca_file` as above. */
int account_from_connection_string(struct blob_account *out, const char *cs,
				   bool use_http, const char *ca_file,
				   const char *source, struct err *err);

/* http to a host that is not loopback with a key or SAS, without the user
 * having said so: ERR_USAGE. `allowed` is usually a->http_chosen. */
int account_check_transport(const struct blob_account *a, bool allowed, struct err *err);

int account_copy(struct blob_account *to, const struct blob_account *from, struct err *err);

/* Wipe the secrets, free everything, leave the struct empty. */
void account_free(struct blob_account *a);

/* Zero a string before it is freed; NULL is nothing. */
void secret_free(char *secret);

#endif
