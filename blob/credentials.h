/*
 * credentials.h - which account the user means: DESIGN.md section 2, "where
 * credentials come from", first match wins:
 *
 *  1. options: --connection-string; --account with --key or --sas; --endpoint
 *  2. --node-template T (with --scheduler H: among the templates that H
 *     publishes). It is always named explicitly, and so beats the environment.
 *  3. CCP_AZURE_CONNECTIONSTRING
 *  4. AZURE_STORAGE_CONNECTION_STRING
 *  5. AZURE_STORAGE_ACCOUNT with AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN
 *  6. the [account] section of the configuration file
 *
 * --account alone picks the account of that name from 2 to 6, and is anonymous
 * access to it when none of them speaks of it.
 *
 * A node template is an INI file DIR/T.conf with an [account] section, like the
 * configuration file's. DIR is [templates] dir (default
 * SYSCONFDIR/hpcpack/templates), or with --scheduler H: H itself if it holds a
 * '/', else [templates] scheduler_dir with every "%s" replaced by H (default
 * /net/%s/hpcpack/templates). T is one file name: no '/', not "." or "..".
 *
 * A file that holds a key, SAS or connection string and can be read by others
 * is refused (ERR_PERMISSION), naming the chmod that mends it.
 *
 * TLS is verified against --ca-file, else the file's own ca_file, else the
 * configuration's, else the system's certificates.
 */
#ifndef HPCPACK_BLOB_CREDENTIALS_H
#define HPCPACK_BLOB_CREDENTIALS_H

#include "blob/account.h"
#include "blob/config.h"

/* What the command line said; NULL or false where it said nothing. */
struct credential_options {
	const char *account, *key, *sas, *connection_string, *endpoint, *ca_file;
	const char *node_template, *scheduler;
	bool use_http;
};

/* 0 and *out, or -1. Options that make no sense, and nothing found at all
 * (listing the ways), are ERR_USAGE; faults of what the options did not say are
 * not: ERR_AUTH, ERR_FORMAT, ERR_NOT_FOUND, ERR_PERMISSION. */
int credentials_resolve(struct blob_account *out, const struct credential_options *options,
			const struct config *config, struct err *err);

/* Read [account] of the file old->reread again (401/403 after a key change): the
 * same account at the same endpoint, with the credential that the file holds
 * now. ERR_AUTH when it speaks of another account. */
int credentials_reread(struct blob_account *out, const struct blob_account *old, struct err *err);

#endif
