/*
 * decoder.c - local header, data, checks.
 *
 * HEADER collects the fixed part; SKIP passes over name and extra field; DATA makes
 * content until the packed bytes are used up and the size is reached; then DONE, or
 * for whatever is not so, FAILED. Both of the last stay.
 */
#include <config.h>

#include "pack/decoder.h"

#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <stdlib.h>
#include <string.h>

#include "blob/base/cleanup.h"
#include "pack/zip_format.h"

enum state { HEADER, SKIP, DATA, DONE, FAILED };

struct pack_decoder {
	const char *name;         /* of the package; borrowed */
	struct pack_entry entry;  /* path borrowed from the index */
	enum state state;
	uint8_t header[ZIP_LOCAL_SIZE];
	size_t header_len;
	size_t skip;              /* bytes of name and extra field to come */
	uint64_t packed_left, left; /* bytes to take and to yield */
	uint32_t crc;
	bool begun, stream_end;   /* of the deflate stream */
	struct inflate_state *inflate; /* large, so only if a member needed it */
};

static int damaged(struct pack_decoder *d, const char *why, struct err *err)
{
	cleanup_free char *path = pack_printable(d->entry.path, strlen(d->entry.path));

	d->state = FAILED;
	return err_set(err, ERR_FORMAT, "%s: %s: %s", d->name, path ? path : "a member", why);
}

static int start_inflate(struct pack_decoder *d, struct err *err)
{
	d->begun = false;
	if (d->entry.method != ZIP_DEFLATED)
		return 0;
	if (!d->inflate)
		d->inflate = malloc(sizeof(*d->inflate));
	if (!d->inflate)
		return err_set(err, ERR_NO_MEMORY, "%s: out of memory", d->name);
	isal_inflate_init(d->inflate);
	return 0;
}

int pack_decoder_reset(struct pack_decoder *d, const struct pack_entry *entry, struct err *err)
{
	enum pack_problem problem = (enum pack_problem)entry->problem;

	d->entry = *entry;
	d->header_len = 0;
	d->packed_left = entry->packed_size;
	d->left = entry->size;
	d->crc = 0;
	d->stream_end = entry->method == ZIP_STORED;
	if (problem) {
		damaged(d, pack_problem_text(problem), err);
		if (err && (problem == PACK_DATA_ENCRYPTED || problem == PACK_DATA_METHOD ||
			    problem == PACK_DATA_PIECE))
			err->code = ERR_UNSUPPORTED;
		return -1;
	}
	d->state = HEADER;
	return start_inflate(d, err);
}

struct pack_decoder *pack_decoder_new(const struct pack_entry *entry, const char *name,
				      struct err *err)
{
	struct pack_decoder *d = calloc(1, sizeof(*d));

	if (!d) {
		err_set(err, ERR_NO_MEMORY, "%s: out of memory", name);
		return NULL;
	}
	d->name = name;
	if (pack_decoder_reset(d, entry, err) < 0) {
		pack_decoder_free(d);
		return NULL;
	}
	return d;
}

void pack_decoder_name(struct pack_decoder *d, const char *name)
{
	d->name = name;
}

void pack_decoder_free(struct pack_decoder *d)
{
	if (!d)
		return;
	free(d->inflate);
	free(d);
}

static void take(const uint8_t **in, size_t *in_len, size_t n)
{
	if (n)
		*in += n;
	*in_len -= n;
}

/* The directory counts; a local header that tells another story is a sign that
 * something else reads another story. Where sizes follow the data it has none, and
 * where they don't fit only a marker. */
static int check_header(struct pack_decoder *d, struct err *err)
{
	const uint8_t *h = d->header;
	const struct pack_entry *e = &d->entry;
	uint16_t flags = zip_u16(h + 6);
	uint32_t crc = zip_u32(h + 14), packed = zip_u32(h + 18), size = zip_u32(h + 22);

	if (zip_u32(h) != ZIP_LOCAL_SIG)
		return damaged(d, "no local header where the central directory says", err);
	if (zip_u16(h + 8) != e->method || (flags & (ZIP_FLAG_ENCRYPTED | ZIP_FLAG_STRONG)))
		return damaged(d, "its local header has another method than the central directory", err);
	if (!(flags & ZIP_FLAG_DESCRIPTOR) && (crc || packed || size) &&
	    (crc != e->crc || (packed != 0xffffffff && packed != e->packed_size) ||
	     (size != 0xffffffff && size != e->size)))
		return damaged(d, "its local header has another size or CRC than the central directory", err);
	d->skip = (size_t)zip_u16(h + 26) + zip_u16(h + 28);
	if (ZIP_LOCAL_SIZE + d->skip + e->packed_size > e->span)
		return damaged(d, "its local header leaves no room for its data", err);
	d->state = SKIP;
	return 0;
}

static int run_header(struct pack_decoder *d, const uint8_t **in, size_t *in_len, struct err *err)
{
	size_t n = ZIP_LOCAL_SIZE - d->header_len;

	if (n > *in_len)
		n = *in_len;
	if (n)
		memcpy(d->header + d->header_len, *in, n);
	d->header_len += n;
	take(in, in_len, n);
	return d->header_len == ZIP_LOCAL_SIZE ? check_header(d, err) : 0;
}

static void run_skip(struct pack_decoder *d, const uint8_t **in, size_t *in_len)
{
	size_t n = d->skip < *in_len ? d->skip : *in_len;

	take(in, in_len, n);
	d->skip -= n;
	if (!d->skip)
		d->state = DATA;
}

static size_t copy(const uint8_t *in, size_t in_len, uint8_t *out, size_t out_len)
{
	size_t n = in_len < out_len ? in_len : out_len;

	if (n)
		memcpy(out, in, n);
	return n;
}

/* The library counts in 32 bits, and goes astray near their end. */
#define PIECE (1u << 30)

static uint32_t piece(size_t len)
{
	return len < PIECE ? (uint32_t)len : PIECE;
}

/* All packed bytes are at hand, and there is room for all content: no history has to
 * be kept, which spares the library a copy. */
static bool is_whole(const struct pack_decoder *d, size_t in_len, size_t out_len)
{
	return !d->begun && d->left && in_len == d->packed_left && out_len == d->left &&
	       in_len <= PIECE && out_len <= PIECE;
}

static int judge(struct pack_decoder *d, int rc, bool whole, struct err *err)
{
	if (rc < 0)
		return damaged(d, "damaged data", err);
	if (whole && rc == ISAL_OUT_OVERFLOW)
		return damaged(d, "it holds more than the size it claims", err);
	if (whole && rc == ISAL_END_INPUT)
		return damaged(d, "damaged data: it ends too early", err);
	return 0;
}

/* Bytes used are returned in *used, those made as the value; -1: failed. When all
 * content is there the stream may still have to say that it ends. */
static ssize_t inflate_some(struct pack_decoder *d, const uint8_t *in, size_t in_len, uint8_t *out,
			    size_t out_len, size_t *used, struct err *err)
{
	struct inflate_state *s = d->inflate;
	bool whole = is_whole(d, in_len, out_len);
	uint32_t room = d->left ? piece(out_len) : 1;
	uint8_t beyond;
	size_t made;

	s->next_in = (uint8_t *)(uintptr_t)in;
	s->avail_in = piece(in_len);
	s->next_out = d->left ? out : &beyond;
	s->avail_out = room;
	if (judge(d, whole ? isal_inflate_stateless(s) : isal_inflate(s), whole, err) < 0)
		return -1;
	d->begun = true;
	*used = piece(in_len) - s->avail_in;
	made = room - s->avail_out;
	if (made && !d->left)
		return damaged(d, "it holds more than the size it claims", err);
	d->stream_end = whole || s->block_state == ISAL_BLOCK_FINISH;
	/* It reads some bytes ahead, perhaps those of an earlier call. */
	if (d->stream_end)
		d->packed_left += (unsigned)s->read_in_length / 8;
	return (ssize_t)made;
}

/* All that there is to check when content and packed bytes have come to an end. */
static int finish(struct pack_decoder *d, struct err *err)
{
	if (!d->stream_end && (d->entry.size || d->entry.packed_size))
		return damaged(d, "damaged data: it ends too early", err);
	if (d->left)
		return damaged(d, "it holds less than the size it claims", err);
	if (d->packed_left)
		return damaged(d, "its data ends before the packed size it claims", err);
	if (d->crc != d->entry.crc)
		return damaged(d, "CRC error: its content is damaged", err);
	d->state = DONE;
	return 0;
}

/* Nothing at all is content, too: some writers call it deflated. */
static bool at_end(const struct pack_decoder *d)
{
	if (d->entry.method == ZIP_STORED)
		return !d->left;
	return d->stream_end || (!d->entry.size && !d->entry.packed_size);
}

/* One step over input and output; 0 as well if nothing could be done. */
static int run_data(struct pack_decoder *d, const uint8_t **in, size_t *in_len, uint8_t *out,
		    size_t out_len, size_t *made, struct err *err)
{
	size_t have = *in_len < d->packed_left ? *in_len : (size_t)d->packed_left, used = 0;
	size_t room = out_len < d->left ? out_len : (size_t)d->left;
	ssize_t n = 0;

	*made = 0;
	if (at_end(d))
		return finish(d, err);
	if (d->entry.method == ZIP_STORED) {
		n = (ssize_t)copy(*in, have, out, room);
		used = (size_t)n;
	} else if (room || !d->left) {
		n = inflate_some(d, *in, have, out, room, &used, err);
		if (n < 0)
			return -1;
	}
	if (n)
		d->crc = crc32_gzip_refl(d->crc, out, (uint64_t)n);
	take(in, in_len, used);
	d->packed_left -= used;
	d->left -= (size_t)n;
	*made = (size_t)n;
	if (at_end(d))
		return finish(d, err);
	/* All of it was given, and more is wanted. */
	if (!d->packed_left && !used && !n && (room || !d->left))
		return damaged(d, "damaged data: it ends too early", err);
	return 0;
}

enum pack_step pack_decoder_run(struct pack_decoder *d, const uint8_t **in, size_t *in_len,
				uint8_t *out, size_t out_len, size_t *produced, struct err *err)
{
	size_t made, before;
	enum state was;

	*produced = 0;
	if (d->state == FAILED)
		damaged(d, "it can't be read", err);
	while (d->state != FAILED && d->state != DONE) {
		before = *in_len;
		was = d->state;
		made = 0;
		if (d->state == HEADER)
			run_header(d, in, in_len, err);
		else if (d->state == SKIP)
			run_skip(d, in, in_len);
		else
			run_data(d, in, in_len, out ? out + *produced : NULL, out_len - *produced, &made, err);
		*produced += made;
		if (d->state == was && !made && *in_len == before)
			return d->state == DATA && d->left && *produced == out_len ? PACK_STEP_OUTPUT :
										     PACK_STEP_INPUT;
	}
	return d->state == DONE ? PACK_STEP_DONE : PACK_STEP_FAILED;
}
