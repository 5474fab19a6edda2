/*
 * holder.h - who has a blob's lease, in words.
 */
#ifndef HPCPACK_CLI_HOLDER_H
#define HPCPACK_CLI_HOLDER_H

#include "blob/ops.h"
#include "vhd/lease.h"

/* It is leased now (or still, while the lease is being broken). */
bool holder_is_leased(const struct blob_props *props);

/* From the metadata: false if the holder left no name there. */
bool holder_get(const struct blob_meta_list *meta, struct lease_holder *out);

/* "mounted by ann on node7 (pid 4711) since 2026-...", or that nobody knows. */
#define HOLDER_TEXT_MAX 512
void holder_text(const struct blob_meta_list *meta, char out[HOLDER_TEXT_MAX]);

#endif
