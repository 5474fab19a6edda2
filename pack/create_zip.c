/*
 * create_zip.c - the zip, by libzip.
 *
 * libzip reads every file and writes all it has when the archive is closed, through
 * the functions here: files are opened one at a time, and checked (create_input.c);
 * what is written goes where we say (create_output.c). Their errors are kept beside
 * libzip's own, which name no file.
 *
 * Two things that it can't do: it writes local time, so the process is put into UTC;
 * and a member of exactly 0xffffffff bytes gets a zip64 field without the size.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <zip.h>

#include "pack/create_priv.h"

#define UNWRITABLE_SIZE 0xffffffffu

/* What DOS times can say: 1980 to 2107. */
#define DOS_FIRST 315532800
#define DOS_LAST 4354819198

#define EXTRA_TIMESTAMP 0x5455    /* Info-ZIP's extended timestamp */
#define DOS_DIRECTORY 0x10

struct writer {
	const struct create_list *list;
	struct create_output *out;
	int64_t date;
	struct create_input in;      /* the one that is open */
	size_t text_done;            /* of the text that is read */
	uint64_t done, total;        /* bytes, for progress */
	struct err err;              /* the first thing that went wrong */
	zip_error_t code;            /* what libzip is told about it */
};

/* What libzip reads an item through. */
struct feed {
	struct writer *w;
	const struct create_item *item;
};

/* --- reading --- */

static zip_int64_t failed(struct writer *w, int code)
{
	zip_error_set(&w->code, code, EIO);
	return -1;
}

static void report(const struct writer *w)
{
	const struct pack_create_options *o = w->list->options;

	if (o->progress)
		o->progress(o->arg, w->done, w->total);
}

static zip_int64_t feed_open(struct feed *f)
{
	struct writer *w = f->w;

	w->text_done = 0;
	if (create_cancelled(w->list->options, &w->err) < 0)
		return failed(w, ZIP_ER_CANCELLED);
	if (f->item->kind != CREATE_FILE)
		return 0;
	if (create_input_open(&w->in, f->item, &w->err) < 0)
		return failed(w, ZIP_ER_OPEN);
	report(w);
	return 0;
}

static zip_int64_t feed_file(struct feed *f, void *data, zip_uint64_t len)
{
	ssize_t n;

	if (create_cancelled(f->w->list->options, &f->w->err) < 0)
		return failed(f->w, ZIP_ER_CANCELLED);
	n = create_input_read(&f->w->in, data, (size_t)len, &f->w->err);
	if (n < 0)
		return failed(f->w, ZIP_ER_READ);
	f->w->done += (uint64_t)n;
	report(f->w);
	return n;
}

static zip_int64_t feed_text(struct feed *f, void *data, zip_uint64_t len)
{
	size_t left = (size_t)f->item->size - f->w->text_done, n = len < left ? (size_t)len : left;

	if (n)
		memcpy(data, f->item->text + f->w->text_done, n);
	f->w->text_done += n;
	return (zip_int64_t)n;
}

static zip_int64_t feed_stat(const struct feed *f, zip_stat_t *st)
{
	zip_stat_init(st);
	st->size = f->item->size;
	st->valid = ZIP_STAT_SIZE;
	return sizeof(*st);
}

static zip_int64_t feed(void *arg, void *data, zip_uint64_t len, zip_source_cmd_t cmd)
{
	struct feed *f = arg;

	switch (cmd) {
	case ZIP_SOURCE_OPEN:
		return feed_open(f);
	case ZIP_SOURCE_READ:
		return f->item->kind == CREATE_FILE ? feed_file(f, data, len) : feed_text(f, data, len);
	case ZIP_SOURCE_CLOSE:
		if (f->item->kind == CREATE_FILE)
			create_input_close(&f->w->in);
		return 0;
	case ZIP_SOURCE_STAT:
		return feed_stat(f, data);
	case ZIP_SOURCE_ERROR:
		return zip_error_to_data(&f->w->code, data, len);
	case ZIP_SOURCE_FREE:
		return 0;
	case ZIP_SOURCE_SUPPORTS:
		return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE,
						      ZIP_SOURCE_STAT, ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE, -1);
	default:
		return failed(f->w, ZIP_ER_OPNOTSUPP);
	}
}

/* --- writing --- */

static zip_int64_t drain_write(struct writer *w, const void *data, zip_uint64_t len)
{
	if (create_output_write(w->out, data, (size_t)len, &w->err) < 0)
		return failed(w, ZIP_ER_WRITE);
	return (zip_int64_t)len;
}

static zip_int64_t drain_seek(struct writer *w, void *data, zip_uint64_t len)
{
	zip_int64_t at = zip_source_seek_compute_offset(w->out->at, w->out->end, data, len, &w->code);

	if (at < 0)
		return -1;
	w->out->at = (uint64_t)at;
	return 0;
}

/* The archive-to-be. That it does not exist yet makes libzip begin a new one. */
static zip_int64_t drain(void *arg, void *data, zip_uint64_t len, zip_source_cmd_t cmd)
{
	struct writer *w = arg;

	switch (cmd) {
	case ZIP_SOURCE_STAT:
		zip_error_set(&w->code, ZIP_ER_READ, ENOENT);
		return -1;
	case ZIP_SOURCE_WRITE:
		return drain_write(w, data, len);
	case ZIP_SOURCE_SEEK_WRITE:
		return drain_seek(w, data, len);
	case ZIP_SOURCE_TELL_WRITE:
		return (zip_int64_t)w->out->at;
	case ZIP_SOURCE_BEGIN_WRITE:
	case ZIP_SOURCE_COMMIT_WRITE:
	case ZIP_SOURCE_ROLLBACK_WRITE:
	case ZIP_SOURCE_FREE:
		return 0;
	case ZIP_SOURCE_ERROR:
		return zip_error_to_data(&w->code, data, len);
	case ZIP_SOURCE_SUPPORTS:
		return ZIP_SOURCE_SUPPORTS_WRITABLE;
	default:
		return failed(w, ZIP_ER_OPNOTSUPP);
	}
}

/* --- the archive --- */

static int64_t date_of(const struct writer *w, const struct create_item *item)
{
	int64_t date = item->kind == CREATE_FILE ? item->mtime.tv_sec : w->date;
	const int64_t *latest = w->list->options->date;

	return latest && date > *latest ? *latest : date;
}

/* The DOS time knows even seconds from 1980 on, in no time zone; the other field is
 * exact, and in UTC. */
static int set_date(zip_t *zip, zip_uint64_t index, int64_t date)
{
	uint8_t field[5] = { 1, (uint8_t)date, (uint8_t)(date >> 8), (uint8_t)(date >> 16), (uint8_t)(date >> 24) };
	int64_t dos = date < DOS_FIRST ? DOS_FIRST : date > DOS_LAST ? DOS_LAST : date;

	if (zip_file_set_mtime(zip, index, (time_t)dos, 0) < 0)
		return -1;
	if (date < INT32_MIN || date > INT32_MAX)
		return 0;
	return zip_file_extra_field_set(zip, index, EXTRA_TIMESTAMP, ZIP_EXTRA_FIELD_NEW, field, sizeof(field),
					ZIP_FL_LOCAL | ZIP_FL_CENTRAL);
}

static int set_mode(zip_t *zip, zip_uint64_t index, const struct create_item *item)
{
	mode_t type = item->kind == CREATE_LINK ? S_IFLNK : item->kind == CREATE_DIR ? S_IFDIR : S_IFREG;
	zip_uint32_t attributes = (zip_uint32_t)(type | item->mode) << 16;

	if (item->kind == CREATE_DIR)
		attributes |= DOS_DIRECTORY;
	return zip_file_set_external_attributes(zip, index, 0, ZIP_OPSYS_UNIX, attributes);
}

static int set_method(zip_t *zip, zip_uint64_t index, const struct create_item *item, int level)
{
	bool deflate = level > 0 && (item->kind == CREATE_FILE || item->kind == CREATE_TEXT);

	return zip_set_file_compression(zip, index, deflate ? ZIP_CM_DEFLATE : ZIP_CM_STORE, (zip_uint32_t)level);
}

static int add(zip_t *zip, struct feed *f, struct err *err)
{
	zip_source_t *source = zip_source_function(zip, feed, f);
	char shown[CREATE_SHOWN_MAX];
	zip_int64_t index;

	if (f->item->size == UNWRITABLE_SIZE)
		err_set(err, ERR_UNSUPPORTED, "is exactly %u bytes long, which libzip can't write; make it a byte "
			"longer, or leave it out", UNWRITABLE_SIZE);
	else if (!source)
		err_set(err, ERR_NO_MEMORY, "out of memory");
	else if ((index = zip_file_add(zip, f->item->name, source, ZIP_FL_ENC_UTF_8)) < 0)
		err_set(err, ERR_SYSTEM, "%s", zip_strerror(zip));
	else if (set_date(zip, (zip_uint64_t)index, date_of(f->w, f->item)) == 0 &&
		 set_mode(zip, (zip_uint64_t)index, f->item) == 0 &&
		 set_method(zip, (zip_uint64_t)index, f->item, f->w->list->options->level) == 0)
		return 0;
	else
		return err_set(err, ERR_SYSTEM, "%s: %s", f->item->name, zip_strerror(zip));
	if (source)
		zip_source_free(source);
	return err_prefix(err, "%s", f->item->root ? create_item_shown(f->item, shown) : f->item->name);
}

static int add_all(zip_t *zip, struct writer *w, const struct create_item own[CREATE_OWN_ITEMS],
		   struct feed *feeds, struct err *err)
{
	for (size_t i = 0; i < CREATE_OWN_ITEMS + w->list->count; i++) {
		feeds[i] = (struct feed){
			.w = w, .item = i < CREATE_OWN_ITEMS ? &own[i] : &w->list->items[i - CREATE_OWN_ITEMS]
		};
		if (add(zip, &feeds[i], err) < 0)
			return -1;
		w->total += feeds[i].item->kind == CREATE_FILE ? feeds[i].item->size : 0;
	}
	return 0;
}

static zip_t *open_zip(struct writer *w, struct err *err)
{
	zip_source_t *target;
	zip_error_t error;
	zip_t *zip = NULL;

	zip_error_init(&error);
	target = zip_source_function_create(drain, w, &error);
	if (target)
		zip = zip_open_from_source(target, ZIP_CREATE | ZIP_TRUNCATE, &error);
	if (!zip) {
		err_set(err, ERR_SYSTEM, "%s: %s", w->out->path, zip_error_strerror(&error));
		if (target)
			zip_source_free(target);
	}
	zip_error_fini(&error);
	return zip;
}

static int write_zip(zip_t *zip, struct writer *w, struct err *err)
{
	if (zip_close(zip) == 0)
		return 0;
	if (w->err.code != ERR_NONE)
		*err = w->err;
	else
		err_set(err, ERR_SYSTEM, "%s: %s", w->out->path, zip_strerror(zip));
	zip_discard(zip);
	return -1;
}

int create_zip(const struct create_list *list, const struct create_item own[CREATE_OWN_ITEMS], int64_t date,
	       struct create_output *out, struct err *err)
{
	struct writer w = { .list = list, .out = out, .date = date, .in = { .fd = -1 } };
	struct feed *feeds = calloc(CREATE_OWN_ITEMS + list->count, sizeof(*feeds));
	zip_t *zip;
	int rc = -1;

	if (!feeds)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	setenv("TZ", "UTC0", 1);
	tzset();
	zip_error_init(&w.code);
	zip = open_zip(&w, err);
	if (zip && add_all(zip, &w, own, feeds, err) == 0)
		rc = write_zip(zip, &w, err);
	else if (zip)
		zip_discard(zip);
	create_input_close(&w.in);
	zip_error_fini(&w.code);
	free(feeds);
	return rc;
}
