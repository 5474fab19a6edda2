/*
 * decoder.h - the content of one member out of its bytes in the package.
 *
 * Fed with the package's bytes from the member's local header on, in pieces of any
 * size; yields the content; checks the local header against the index (signature,
 * method, and where it has them sizes and CRC), the sizes and the CRC-32. It works on the
 * caller's buffers and owns only its state (some 90 KiB once it inflates). Fastest is
 * what comes at once: all packed bytes in, and room for all content. Within `out_len`
 * more may be written to than `*produced` says.
 *
 * Not for use from two threads at once.
 */
#ifndef HPCPACK_PACK_DECODER_H
#define HPCPACK_PACK_DECODER_H

#include "pack/index.h"

struct pack_decoder;

/* `name` (borrowed) is the package, for messages; so is the path of the entry, until
 * the next reset. NULL: out of memory, or a member that can't be read
 * (entry->problem): ERR_FORMAT, or ERR_UNSUPPORTED for what is encrypted, of an
 * unknown method or a piece. A decoder may be used again for the next
 * member: pack_decoder_reset(). */
struct pack_decoder *pack_decoder_new(const struct pack_entry *entry, const char *name,
				      struct err *err);
int pack_decoder_reset(struct pack_decoder *d, const struct pack_entry *entry, struct err *err);
/* It is of another package from now on: before the reset. */
void pack_decoder_name(struct pack_decoder *d, const char *name);
void pack_decoder_free(struct pack_decoder *d);

enum pack_step {
	PACK_STEP_FAILED = -1,
	PACK_STEP_INPUT,     /* all input used, more is needed */
	PACK_STEP_OUTPUT,    /* the output is full */
	PACK_STEP_DONE,      /* complete: size and CRC are right */
};

/*
 * Take bytes from *in (advancing *in and *in_len), put content at out (at most
 * out_len bytes; *produced says how many). A decoder that yielded `size` bytes still
 * has to reach DONE: a stream that goes on is an error, and content of no bytes at all
 * is DONE, too, as soon as the local header was seen. What came before FAILED is not
 * to be trusted: the CRC is known only at the end. ERR_FORMAT: "app.zip: bin/x:
 * CRC error", "...: damaged data"...
 */
enum pack_step pack_decoder_run(struct pack_decoder *d, const uint8_t **in, size_t *in_len,
				uint8_t *out, size_t out_len, size_t *produced, struct err *err);

/* Most bytes that stand in front of a member's data: local header with the longest
 * name and extra field. What is usual is entry path + 30 + some 30. A decoder never
 * asks for more than entry->span bytes. */
#define PACK_LOCAL_HEADER_MAX (30u + 65535u + 65535u)

#endif
