/* Archives from the wild: each is read or refused as the index of the samples says,
 * and what is read is what libzip reads. */
#include <config.h>

#include "unit.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zip.h>

#include "blob/base/cleanup.h"
#include "pack/decoder.h"

#define CONTENT_MAX (64u << 20)

static const char *folder; /* of the samples */

/* A line of INDEX.tsv. */
struct sample {
	char file[256], what[512], verdict[64], expected[8192];
};

static struct sample samples[512];
static size_t sample_count;

/* One archive, opened. */
struct opened {
	const struct sample *sample;
	uint8_t *data;
	size_t len;
	struct pack_memory mem;
	struct pack_index index;
	struct err err;
	int rc;
};

static int read_table(void **state)
{
	static char line[65536];
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/INDEX.tsv", folder);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		struct sample *s = &samples[sample_count];

		if (strncmp(line, "zip/", 4) != 0)
			continue;
		assert_true(sample_count < ARRAY_LEN(samples));
		assert_int_equal(sscanf(line, "%255[^\t]\t%*[^\t]\t%*[^\t]\t%*[^\t]\t%*[^\t]\t%*[^\t]\t%511[^\t]\t%63[^\t]\t%8191[^\n]",
					s->file, s->what, s->verdict, s->expected), 4);
		sample_count++;
	}
	fclose(f);
	assert_true(sample_count > 0);
	return 0;
}

static void open_sample(struct opened *o, const struct sample *s)
{
	char path[4096];
	FILE *f;

	memset(o, 0, sizeof(*o));
	o->sample = s;
	snprintf(path, sizeof(path), "%s/%s", folder, s->file);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fseek(f, 0, SEEK_END), 0);
	o->len = (size_t)ftell(f);
	rewind(f);
	o->data = malloc(o->len + 1);
	assert_non_null(o->data);
	assert_int_equal(fread(o->data, 1, o->len, f), o->len);
	fclose(f);
	pack_memory_init(&o->mem, s->file, o->data, o->len);
	o->rc = pack_index_open(&o->index, &o->mem.reader, NULL, &o->err);
}

static void close_sample(struct opened *o)
{
	if (o->rc == 0)
		pack_index_free(&o->index);
	free(o->data);
}

/* The content of an entry (malloc'd), or NULL and why. */
static uint8_t *content(const struct opened *o, const struct pack_entry *e, struct err *err)
{
	struct pack_decoder *d = pack_decoder_new(e, o->sample->file, err);
	const uint8_t *in = o->data + e->header_offset;
	size_t left = o->len - (size_t)e->header_offset, made;
	uint8_t *out;
	enum pack_step step;

	if (!d)
		return NULL;
	assert_true(e->size < CONTENT_MAX);
	out = malloc((size_t)e->size + 1);
	assert_non_null(out);
	step = pack_decoder_run(d, &in, &left, out, (size_t)e->size, &made, err);
	pack_decoder_free(d);
	if (step == PACK_STEP_DONE) {
		assert_int_equal(made, e->size);
		return out;
	}
	if (step != PACK_STEP_FAILED)
		fail_msg("%s: %s: neither done nor refused", o->sample->file, e->path);
	free(out);
	return NULL;
}

static bool is(const struct sample *s, const char *verdict)
{
	return !strcmp(s->verdict, verdict);
}

/* One line, that names the archive, of a kind that says whose fault it is. */
static void check_error(const struct sample *s, const struct err *err)
{
	if ((err->code != ERR_FORMAT && err->code != ERR_UNSUPPORTED) || strchr(err->msg, '\n') ||
	    strncmp(err->msg, s->file, strlen(s->file)) != 0)
		fail_msg("%s: unclear: %s (%s)", s->file, err->msg, err_code_name(err->code));
}

/* A good archive: nothing in it is refused. An archive with good members: what is
 * refused is said clearly. */
static void check_members(const struct opened *o)
{
	struct err err;

	if (is(o->sample, "accept") && pack_index_check(&o->index, o->sample->file, 0, 0, &err) < 0)
		fail_msg("%s: %s", o->sample->file, err.msg);
	for (uint32_t i = 1; i < o->index.count; i++) {
		cleanup_free uint8_t *data = NULL;

		if (o->index.entries[i].type == PACK_DIR)
			continue;
		data = content(o, &o->index.entries[i], &err);
		if (data)
			continue;
		check_error(o->sample, &err);
		if (is(o->sample, "accept"))
			fail_msg("%s: %s", o->sample->file, err.msg);
	}
}

/* The names that the table lists are there. Those that its own escapes stand for
 * are not looked for. */
static void check_listing(const struct opened *o)
{
	const char *list = strstr(o->sample->expected, "listing: ");
	json_t *names = list ? json_loads(list + 9, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
	size_t i;
	json_t *name;

	assert_non_null(names);
	json_array_foreach(names, i, name) {
		char path[4096];
		size_t len;

		snprintf(path, sizeof(path), "%s", json_string_value(name));
		len = strlen(path);
		if (strpbrk(path, "\\^"))
			continue;
		if (len && path[len - 1] == '/')
			path[len - 1] = '\0';
		if (pack_index_find(&o->index, path) < 0)
			fail_msg("%s: no %s in it", o->sample->file, path);
	}
	json_decref(names);
}

static void verdicts(void **state)
{
	for (size_t i = 0; i < sample_count; i++) {
		const struct sample *s = &samples[i];
		struct opened o;

		open_sample(&o, s);
		if (o.rc < 0)
			check_error(s, &o.err);
		if (is(s, "reject") && o.rc == 0)
			fail_msg("%s: accepted", s->file);
		if (!strncmp(s->verdict, "accept", 6) && !is(s, "accept-or-clear-error") && o.rc < 0)
			fail_msg("%s", o.err.msg);
		if (o.rc == 0)
			check_members(&o);
		if (is(s, "accept"))
			check_listing(&o);
		close_sample(&o);
	}
}

/* What is wrong with them in particular: {file, member, what of its message}; with no
 * member, the archive; with no message, it is read. */
static void in_particular(void **state)
{
	static const char *const cases[][3] = {
		{ "libzip--broken.zip", "storedok", NULL },
		{ "libzip--broken.zip", "deflateok", NULL },
		{ "libzip--broken.zip", "storedcrcerror", "CRC error" },
		{ "libzip--broken.zip", "deflatecrcerror", "CRC error" },
		{ "libzip--broken.zip", "deflatezliberror", "damaged data" },
		{ "libzip--broken.zip", "cryptok", "encrypted" },
		{ "libzip--encrypt-aes128.zip", "plain", NULL },
		{ "libzip--encrypt-aes128.zip", "encrypted", "encrypted" },
		{ "libzip--testbzip2.zip", "abac-repeat.txt", "neither stored nor deflated" },
		{ "dotnet-badzipfiles--nameDuplicates.zip", "text.txt", NULL },
		{ "dotnet-badzipfiles--NORMAL.zip", "first.txt", "sizes can't be true" },
		{ "dotnet-badzipfiles--invalidDeflate.zip", "text.txt", "damaged data" },
		{ "dotnet-badzipfiles--nameSlashedAndNonzero.zip", "dirkaatx", "sizes can't be true" },
		{ "dotnet-refzipfiles--prepended.zip", "text.txt", NULL },
		{ "libzip--junk-at-start.zip", "testdir/test2", NULL },
		{ "libzip--testfile-cp437.zip", "\u00fc\u00e9\u00e2\u00e4\u00e0\u00e5\u00e7\u00ea\u00eb\u00e8\u00ef\u00ee\u00ec\u00c4\u00c5\u00c9", NULL },
		{ "libzip--testfile-truncated.zip", NULL, "truncated" },
		{ "libzip--bogus.zip", NULL, "not a zip or OPC package" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct sample s = { .verdict = "" };
		struct opened o;
		ssize_t n = -1;

		snprintf(s.file, sizeof(s.file), "zip/%s", cases[i][0]);
		open_sample(&o, &s);
		if (cases[i][1]) {
			cleanup_free uint8_t *data = NULL;

			assert_int_equal(o.rc, 0);
			n = pack_index_find(&o.index, cases[i][1]);
			if (n < 0)
				fail_msg("%s: no %s", s.file, cases[i][1]);
			data = content(&o, &o.index.entries[n], &o.err);
			if (!data != !!cases[i][2])
				fail_msg("%s: %s: %s", s.file, cases[i][1], data ? "was read" : o.err.msg);
		} else {
			assert_int_equal(o.rc, -1);
		}
		if (cases[i][2] && !strstr(o.err.msg, cases[i][2]))
			fail_msg("'%s' does not say '%s'", o.err.msg, cases[i][2]);
		close_sample(&o);
	}
}

/* --- what libzip reads --- */

static bool has_control(const char *raw)
{
	for (; *raw; raw++)
		if ((unsigned char)*raw < 0x20 || *raw == 0x7f)
			return true;
	return false;
}

/* The bytes of its member i are those of our entry; false if it can't read them. */
static bool same_content(const struct opened *o, zip_t *zip, zip_uint64_t i, const struct pack_entry *e)
{
	cleanup_free uint8_t *ours = NULL, *theirs = malloc((size_t)e->size + 1);
	zip_file_t *f = zip_fopen_index(zip, i, 0);
	zip_int64_t n;
	struct err err;

	assert_non_null(theirs);
	if (!f)
		return false;
	n = zip_fread(f, theirs, e->size + 1);
	if (zip_fclose(f) != 0 || n < 0)
		return false;
	ours = content(o, e, &err);
	if (!ours)
		return false;
	if ((zip_uint64_t)n != e->size || memcmp(ours, theirs, (size_t)n) != 0)
		fail_msg("%s: %s: libzip reads something else", o->sample->file, e->path);
	return true;
}

static unsigned compare(const struct opened *o, zip_t *zip)
{
	unsigned same = 0;

	for (zip_int64_t i = 0; i < zip_get_num_entries(zip, 0); i++) {
		const char *raw = zip_get_name(zip, (zip_uint64_t)i, ZIP_FL_ENC_RAW);
		const char *name = zip_get_name(zip, (zip_uint64_t)i, 0);
		char path[4096];
		ssize_t n;

		/* It has its own glyphs for these. */
		if (!raw || !name || has_control(raw))
			continue;
		snprintf(path, sizeof(path), "%s", name);
		if (*path && path[strlen(path) - 1] == '/')
			path[strlen(path) - 1] = '\0';
		n = pack_index_find(&o->index, path);
		if (n < 0) {
			if (is(o->sample, "accept"))
				fail_msg("%s: libzip finds %s", o->sample->file, name);
			continue;
		}
		/* Of two with one name the first is ours. */
		if (zip_name_locate(zip, name, 0) != i || o->index.entries[n].type == PACK_DIR)
			continue;
		if (same_content(o, zip, (zip_uint64_t)i, &o->index.entries[n]))
			same++;
		else if (is(o->sample, "accept"))
			fail_msg("%s: %s: not read by both", o->sample->file, name);
	}
	return same;
}

static void as_libzip(void **state)
{
	unsigned same = 0;

	for (size_t i = 0; i < sample_count; i++) {
		zip_source_t *source;
		zip_t *zip = NULL;
		struct opened o;

		open_sample(&o, &samples[i]);
		source = zip_source_buffer_create(o.data, o.len, 0, NULL);
		assert_non_null(source);
		if (o.rc == 0)
			zip = zip_open_from_source(source, ZIP_RDONLY, NULL);
		if (zip) {
			same += compare(&o, zip);
			zip_discard(zip);
		} else {
			zip_source_free(source);
		}
		close_sample(&o);
	}
	assert_true(same > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verdicts), cmocka_unit_test(in_particular), cmocka_unit_test(as_libzip),
	};

	folder = getenv("HPCPACK_SAMPLES");
	if (!folder)
		folder = TEST_SRCDIR "/../shared/samples";
	if (access(folder, R_OK) < 0) {
		printf("1..0 # SKIP no samples in %s\n", folder);
		return 0;
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, read_table, NULL);
}
