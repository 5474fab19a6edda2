/*
 * reader.h - the bytes of a package, wherever it lies: a blob, a file, memory.
 *
 * Threads: a reader may be used by several threads at once. read() blocks and is
 * never called from a callback or a FUSE handler.
 */
#ifndef HPCPACK_PACK_READER_H
#define HPCPACK_PACK_READER_H

#include <stddef.h>
#include <stdint.h>

#include "blob/base/err.h"
#include "blob/ops.h"

struct pack_reader {
	const char *name;  /* for messages, "container/app.zip"; borrowed */
	uint64_t size;     /* bytes */
	/* Exactly these bytes, all within size. 0 or -1. */
	int (*read)(const struct pack_reader *r, uint64_t offset, void *data, size_t len,
		    struct err *err);
};

/* Memory; the bytes are borrowed. */
struct pack_memory {
	struct pack_reader reader;
	const uint8_t *data;
};
void pack_memory_init(struct pack_memory *m, const char *name, const void *data, size_t len);

/* An open regular file; the descriptor is borrowed. */
struct pack_file {
	struct pack_reader reader;
	int fd;
};
int pack_file_init(struct pack_file *f, const char *name, int fd, struct err *err);

/* Metadata of a page blob: how many of its bytes count, decimal. */
#define PACK_META_LENGTH "contentlength"

/*
 * A blob of either type, in the version that it had when it was opened (every read
 * carries If-Match; a replaced blob is ERR_CONDITION). The size is the package's:
 * of a page blob what its metadata PACK_META_LENGTH says, or where that is missing or
 * can't be true where the zeros at its end begin, found by scanning backwards (zeros
 * that belong to the end record, by the length of its comment, are kept). ERR_FORMAT
 * for a page blob that ends in more than 64 MiB of zeros.
 * Large reads go out as ranges of 4 MiB in parallel.
 */
struct pack_blob {
	struct pack_reader reader;
	struct blob_client *client;   /* borrowed */
	struct blob_ref ref;          /* borrowed strings */
	struct blob_props props;      /* as it was when it was opened */
	char name[1200];
};
int pack_blob_open(struct pack_blob *b, struct blob_client *client, const struct blob_ref *ref,
		   struct err *err);
/* The same with properties that are known already (from a listing); they are taken
 * over, also on failure. */
int pack_blob_open_as(struct pack_blob *b, struct blob_client *client, const struct blob_ref *ref,
		      struct blob_props *props, struct err *err);
void pack_blob_close(struct pack_blob *b);

#endif
