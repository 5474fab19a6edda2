/*
 * storage.h - the account, container and client of a command that talks to storage.
 */
#ifndef HPCPACK_CLI_STORAGE_H
#define HPCPACK_CLI_STORAGE_H

#include "blob/client.h"
#include "cli/cli.h"

struct storage {
	const struct options *options;
	struct config *config;
	struct blob_account account;
	struct blob_client *client;
	const char *container;
};

/* 0; else the exit status: what there is to say about it has been said. */
int storage_open(struct storage *s, const struct options *o);
void storage_close(struct storage *s);

/* How to talk to storage, by what the configuration says of connections. */
int storage_client_options(struct blob_client_options *out, const struct config *config,
			   struct err *err);

/* The blob that the command's argument names. 0, or the exit status. */
int storage_blob(const struct storage *s, const char *name, struct blob_ref *out);

/* An error about a blob or the container: when it is not there, where to look. */
int storage_fail(const struct storage *s, struct err *err);

#endif
