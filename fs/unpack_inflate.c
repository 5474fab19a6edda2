/* From packed bytes to content. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "fs/unpack_priv.h"
#include "pack/zip_format.h"

/* Of what stands in front of the data: usual, and enough for its fixed part. */
#define HEADER_GUESS 128u

void inflater_free(struct inflater *f)
{
	if (!f)
		return;
	pack_decoder_free(f->decoder);
	free(f);
}

void inflater_put(struct unpack *u, struct inflater *f)
{
	if (!f)
		return;
	if (u->ninflaters >= u->o.threads) {
		inflater_free(f);
		return;
	}
	f->next = u->inflaters;
	u->inflaters = f;
	u->ninflaters++;
}

/* One that was used before, if there is one: it is large, and most members are small. */
struct inflater *inflater_get(struct member *m, struct err *err)
{
	struct inflater *f = m->u->inflaters;

	if (f) {
		m->u->inflaters = f->next;
		m->u->ninflaters--;
		pack_decoder_name(f->decoder, m->name);
		return f;
	}
	f = malloc(sizeof(*f));
	if (!f) {
		err_set(err, ERR_NO_MEMORY, "%s: out of memory", m->name);
		return NULL;
	}
	f->decoder = pack_decoder_new(&m->entry, m->name, err);
	if (f->decoder)
		return f;
	free(f);
	return NULL;
}

/* --- packed bytes --- */

static uint64_t clip(uint64_t pos, uint64_t max)
{
	return pos < max ? pos : max;
}

uint64_t unpack_packed_guess(const struct member *m)
{
	uint64_t want = HEADER_GUESS + 3 * strlen(m->entry.path) + m->entry.packed_size;

	/* No further than the next member: so that one after the other is a stream. */
	return clip(clip(want, m->entry.span), m->directory - m->entry.header_offset);
}

/* From the beginning of the member: header, and as much of the data as fits. After
 * that it is known where the data ends, and no byte more is asked for. */
static int get_first(struct member *m, struct inflater *f, struct err *err)
{
	uint32_t len = (uint32_t)clip(unpack_packed_guess(m), PIECE);

	if (object_read_wait(m->object, f->pos, f->buffer, len, err) < 0)
		return -1;
	f->in = f->buffer;
	f->in_len = len;
	f->pos += len;
	if (len >= ZIP_LOCAL_SIZE)
		f->end = m->entry.header_offset + ZIP_LOCAL_SIZE + zip_u16(f->buffer + 26) +
			 zip_u16(f->buffer + 28) + m->entry.packed_size;
	f->end = clip(f->end, m->directory);
	return 0;
}

static int get_more(struct member *m, struct inflater *f, struct err *err)
{
	uint32_t len;

	if (f->pos == m->entry.header_offset)
		return get_first(m, f, err);
	if (f->pos >= f->end)
		return err_set(err, ERR_FORMAT, "%s: %s: damaged data: it ends too early", m->name, m->entry.path);
	len = (uint32_t)clip(f->end - f->pos, PIECE);
	if (object_read_wait(m->object, f->pos, f->buffer, len, err) < 0)
		return -1;
	f->in = f->buffer;
	f->in_len = len;
	f->pos += len;
	return 0;
}

int inflater_rewind(struct member *m, struct err *err)
{
	struct inflater *f = m->inflater;

	if (!f)
		f = m->inflater = inflater_get(m, err);
	if (!f || pack_decoder_reset(f->decoder, &m->entry, err) < 0)
		return -1;
	f->in_len = 0;
	f->pos = m->entry.header_offset;
	f->end = UINT64_MAX;
	return 0;
}

enum pack_step inflater_make(struct member *m, uint8_t *out, size_t len, size_t *made, struct err *err)
{
	struct inflater *f = m->inflater;
	enum pack_step step;

	*made = 0;
	do {
		size_t n;

		step = pack_decoder_run(f->decoder, &f->in, &f->in_len, out + *made, len - *made, &n, err);
		*made += n;
		if (step == PACK_STEP_INPUT && !*made && get_more(m, f, err) < 0)
			return PACK_STEP_FAILED;
	} while (step == PACK_STEP_INPUT && !*made);
	return step;
}
