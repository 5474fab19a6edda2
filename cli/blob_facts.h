/*
 * blob_facts.h - what there is to say about a blob from its properties alone, the same
 * way in every command.
 *
 * What comes from storage is hostile: text here is valid UTF-8.
 */
#ifndef HPCPACK_CLI_BLOB_FACTS_H
#define HPCPACK_CLI_BLOB_FACTS_H

#include <jansson.h>

#include "blob/ops.h"

struct blob_facts {
	const char *name;          /* borrowed */
	const struct blob_props *props;  /* borrowed */
	const char *type;          /* "block", "page", "append" */
	uint64_t size;             /* bytes: of a padded package its true length */
	char uploaded[32];         /* "2026-11-21T07:15:00Z"; "" if unknown */
	char when[32];             /* the same for people, in their time zone */
	char *relative_path, *description;  /* NULL: none */
};

/* 0, or -1 when out of memory (nothing to free then). */
int blob_facts_get(struct blob_facts *f, const char *name, const struct blob_props *props,
		   struct err *err);
void blob_facts_free(struct blob_facts *f);

/* What the metadata says of a page blob's true length, if that can be true; else its
 * size. */
uint64_t blob_true_size(const struct blob_props *props);

/* The members that list and view have in common. NULL when out of memory. */
json_t *blob_facts_json(const struct blob_facts *f);

/* A fresh copy with U+FFFD for what is not UTF-8. */
char *text_clean(const char *text);

#endif
