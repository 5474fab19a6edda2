/*
 * create_windows.c - what would break on Windows nodes: said, and packed all the same.
 */
#include <config.h>

#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <wctype.h>

#include "blob/base/buf.h"
#include "pack/create_priv.h"

/* What HPC Pack leaves of 256 for paths in a package (hpcpack create, reference). */
#define WINDOWS_PATH_MAX 120

/* Of each kind so many are named, the others counted. */
#define NAMED 10

enum kind { TOO_LONG, RESERVED, CHARACTERS, SPACE, CASE, KINDS };

struct warner {
	const struct create_list *list;
	uint64_t count[KINDS];
};

static void warn(struct warner *w, enum kind kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void warn(struct warner *w, enum kind kind, const char *fmt, ...)
{
	struct buf text = BUF_INIT(3 * CREATE_PATH_MAX);
	char *line;
	va_list ap;

	if (w->count[kind]++ >= NAMED)
		return;
	va_start(ap, fmt);
	if (vasprintf(&line, fmt, ap) >= 0) {
		for (const char *c = line; *c; c++)
			buf_add(&text, (unsigned char)*c < 0x20 || *c == 0x7f ? "?" : c, 1);
		w->list->options->warn(w->list->options->arg, buf_str(&text));
		free(line);
	}
	va_end(ap);
	buf_free(&text);
}

static void sum_up(const struct warner *w)
{
	static const char *const what[KINDS] = {
		[TOO_LONG] = "paths of more than 120 characters",
		[RESERVED] = "names that are reserved on Windows",
		[CHARACTERS] = "names with characters that Windows does not allow",
		[SPACE] = "names that end in a space",
		[CASE] = "names that differ in case only",
	};
	char text[128];

	for (int i = 0; i < KINDS; i++)
		if (w->count[i] > NAMED) {
			snprintf(text, sizeof(text), "and %llu more %s", (unsigned long long)(w->count[i] - NAMED),
				 what[i]);
			w->list->options->warn(w->list->options->arg, text);
		}
}

/* The next character of valid UTF-8. */
static wint_t next_char(const char **s)
{
	unsigned char c = (unsigned char)*(*s)++;
	wint_t out = c < 0x80 ? c : c < 0xe0 ? c & 0x1fu : c < 0xf0 ? c & 0x0fu : c & 0x07u;

	while (((unsigned char)**s & 0xc0) == 0x80)
		out = out << 6 | ((unsigned char)*(*s)++ & 0x3fu);
	return out;
}

/* In UTF-16, as Windows counts. */
static unsigned windows_length(const char *path)
{
	unsigned n = 0;

	while (*path)
		n += next_char(&path) > 0xffff ? 2 : 1;
	return n;
}

/* CON, NUL.txt, com1.tar.gz, LPT9... */
static bool is_reserved(const char *part, size_t len)
{
	static const char *const words[] = { "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$" };
	const char *dot = memchr(part, '.', len);
	size_t n = dot ? (size_t)(dot - part) : len;

	while (n && part[n - 1] == ' ')
		n--;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (n == strlen(words[i]) && !strncasecmp(part, words[i], n))
			return true;
	if (n < 4 || (strncasecmp(part, "COM", 3) && strncasecmp(part, "LPT", 3)))
		return false;
	/* ... and the superscript digits 1 to 3. */
	return (n == 4 && part[3] >= '1' && part[3] <= '9') ||
	       (n == 5 && part[3] == '\xc2' && (part[4] == '\xb9' || part[4] == '\xb2' || part[4] == '\xb3'));
}

static void check_part(struct warner *w, const char *path, const char *part, size_t len)
{
	int to = (int)(part + len - path);

	if (is_reserved(part, len))
		warn(w, RESERVED, "%.*s: '%.*s' is a reserved name on Windows", to, path, (int)len, part);
	if (len && part[len - 1] == ' ')
		warn(w, SPACE, "%.*s: a name that ends in a space does not work on Windows", to, path);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)part[i] < 0x20 || strchr("<>:\"|?*", part[i])) {
			warn(w, CHARACTERS, "%.*s: a name with %s%.1s does not work on Windows", to, path,
			     (unsigned char)part[i] < 0x20 ? "a control character" : "",
			     (unsigned char)part[i] < 0x20 ? "" : part + i);
			break;
		}
}

/* The parts of a path; those that the one before has in common were looked at there. */
static void check_path(struct warner *w, const char *path, const char *before)
{
	unsigned length = windows_length(path);
	size_t start = 0;

	if (length > WINDOWS_PATH_MAX)
		warn(w, TOO_LONG, "%s: the path has %u characters; on Windows nodes more than %d, with the "
		     "relative path, may not fit", path, length, WINDOWS_PATH_MAX);
	for (size_t i = 0; path[i] && path[i] == before[i]; i++)
		if (path[i] == '/')
			start = i + 1;
	while (path[start]) {
		size_t len = strcspn(path + start, "/");

		check_part(w, path, path + start, len);
		start += len;
		start += path[start] == '/';
	}
}

/* --- names that differ in case only --- */

struct folded {
	char *text;              /* without case */
	size_t order;            /* in the list, which is sorted */
	const char *path;        /* as it is: the first `len` bytes of this */
	size_t len;
};

struct folder {
	struct folded *entry;
	size_t count, size;
	locale_t locale;         /* 0: only ASCII has case */
};

static char *fold(const struct folder *f, const char *path, size_t len)
{
	struct buf text = BUF_INIT(8 * CREATE_PATH_MAX);
	const char *s = path;

	while (s < path + len) {
		wint_t c = next_char(&s);

		if (f->locale)
			c = towupper_l(c, f->locale);
		else if (c >= 'a' && c <= 'z')
			c -= 'a' - 'A';
		buf_addf(&text, c < 0x80 ? "%c" : "\\%x.", (int)c);
	}
	if (!text.len)
		buf_addstr(&text, "");
	return buf_steal(&text);
}

static int add_folded(struct folder *f, const char *path, size_t len)
{
	if (f->count == f->size) {
		size_t size = f->size ? f->size * 2 : 256;
		struct folded *more = realloc(f->entry, size * sizeof(*more));

		if (!more)
			return -1;
		f->entry = more;
		f->size = size;
	}
	f->entry[f->count] = (struct folded){ .text = fold(f, path, len), .order = f->count,
						 .path = path, .len = len };
	return f->entry[f->count].text ? (f->count++, 0) : -1;
}

/* A path, and the folders on its way that the one before did not have. */
static int add_path(struct folder *f, const char *path, const char *before)
{
	size_t common = 0;

	while (path[common] && path[common] == before[common])
		common++;
	for (size_t i = common; path[i]; i++)
		if (path[i] == '/' && add_folded(f, path, i) < 0)
			return -1;
	return add_folded(f, path, strlen(path));
}

static int compare_folded(const void *a, const void *b)
{
	const struct folded *one = a, *other = b;
	int order = strcmp(one->text, other->text);

	return order ? order : one->order < other->order ? -1 : 1;
}

static void find_case(struct warner *w, struct folder *f)
{
	if (f->count)
		qsort(f->entry, f->count, sizeof(*f->entry), compare_folded);
	for (size_t i = 1; i < f->count; i++) {
		const struct folded *a = &f->entry[i - 1], *b = &f->entry[i];

		if (!strcmp(a->text, b->text) && (a->len != b->len || strncmp(a->path, b->path, a->len)))
			warn(w, CASE, "%.*s and %.*s differ in case only: on Windows they are the same",
			     (int)a->len, a->path, (int)b->len, b->path);
	}
}

static int check_case(struct warner *w)
{
	struct folder f = { .locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0) };
	const char *before = "";
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < w->list->count; i++) {
		rc = add_path(&f, w->list->items[i].path, before);
		before = w->list->items[i].path;
	}
	if (rc == 0)
		find_case(w, &f);
	for (size_t i = 0; i < f.count; i++)
		free(f.entry[i].text);
	free(f.entry);
	if (f.locale)
		freelocale(f.locale);
	return rc;
}

int create_warn_windows(const struct create_list *list, struct err *err)
{
	struct warner w = { .list = list };
	const char *before = "";

	if (!list->options->warn)
		return 0;
	for (size_t i = 0; i < list->count; i++) {
		check_path(&w, list->items[i].path, before);
		before = list->items[i].path;
	}
	if (check_case(&w) < 0)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	sum_up(&w);
	return 0;
}
