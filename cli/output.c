#include <config.h>

#include "cli/output.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

const char *format_size(uint64_t bytes, char out[FORMAT_SIZE_MAX])
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double n = (double)bytes / 1024;
	int unit = 0;

	if (bytes < 1024) {
		snprintf(out, FORMAT_SIZE_MAX, "%u B", (unsigned)bytes);
		return out;
	}
	while (n >= 1023.95 && unit < 5) {
		n /= 1024;
		unit++;
	}
	snprintf(out, FORMAT_SIZE_MAX, "%.1f %s", n, units[unit]);
	return out;
}

/* --- tables --- */

struct table {
	int columns, rows;
	char **cells;
};

struct table *table_new(int columns)
{
	struct table *t = calloc(1, sizeof(*t));

	if (t)
		t->columns = columns;
	return t;
}

int table_add(struct table *t, const char *const *cells)
{
	size_t used = (size_t)t->rows * (size_t)t->columns;
	char **more = realloc(t->cells, (used + (size_t)t->columns) * sizeof(*more));

	if (!more)
		return -1;
	t->cells = more;
	for (int i = 0; i < t->columns; i++) {
		t->cells[used + (size_t)i] = strdup(cells[i]);
		if (!t->cells[used + (size_t)i]) {
			while (i--)
				free(t->cells[used + (size_t)i]);
			return -1;
		}
	}
	t->rows++;
	return 0;
}

/* Columns on the screen, near enough: characters of UTF-8. */
static int width(const char *s)
{
	int n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

/* C0, DEL, and C1 in UTF-8. */
static bool steers(const char *c)
{
	unsigned char first = (unsigned char)c[0];

	return first < 0x20 || first == 0x7f ||
	       (first == 0xc2 && (unsigned char)c[1] >= 0x80 && (unsigned char)c[1] < 0xa0);
}

void print_text(FILE *out, const char *s)
{
	for (; *s; s++) {
		if (steers(s))
			fputc('?', out);
		else
			fputc(*s, out);
		if ((unsigned char)*s == 0xc2 && steers(s))
			s++;
	}
}

static void print_cell(FILE *out, const char *s, int pad)
{
	print_text(out, s);
	if (pad >= 0)
		fprintf(out, "%*s", pad + 2, "");
}

static int widest(const struct table *t, int column)
{
	int most = 0;

	for (int row = 0; row < t->rows; row++) {
		int w = width(t->cells[row * t->columns + column]);

		most = w > most ? w : most;
	}
	return most;
}

void table_print(const struct table *t, FILE *out)
{
	int widths[TABLE_COLUMNS_MAX];

	for (int i = 0; i < t->columns; i++)
		widths[i] = widest(t, i);
	for (int row = 0; row < t->rows; row++) {
		char **cells = t->cells + row * t->columns;

		for (int i = 0; i < t->columns; i++)
			print_cell(out, cells[i], i + 1 < t->columns ? widths[i] - width(cells[i]) : -1);
		fputc('\n', out);
	}
}

void table_free(struct table *t)
{
	if (!t)
		return;
	for (int i = 0; i < t->rows * t->columns; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
}

void print_json(const json_t *document)
{
	json_dumpf(document, stdout, JSON_INDENT(2));
	putchar('\n');
}

/* --- progress --- */

double seconds_since(const struct timespec *then)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - then->tv_sec) + (double)(now.tv_nsec - then->tv_nsec) / 1e9;
}

void progress_start(struct progress *p, const char *label, bool wanted)
{
	*p = (struct progress){ .label = label, .on = wanted && isatty(STDERR_FILENO) };
	clock_gettime(CLOCK_MONOTONIC, &p->started);
}

static int terminal_width(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20)
		return size.ws_col;
	return 80;
}

static void draw(struct progress *p, const char *line)
{
	clock_gettime(CLOCK_MONOTONIC, &p->last);
	fprintf(stderr, "\r\033[K%.*s", terminal_width() - 1, line);
	fflush(stderr);
	p->drawn = true;
}

void progress_bar(struct progress *p, uint64_t done, uint64_t total)
{
	char line[256], bar[21], a[FORMAT_SIZE_MAX], b[FORMAT_SIZE_MAX], c[FORMAT_SIZE_MAX];
	double part = total ? (double)done / (double)total : 1, seconds;
	int filled;

	if (!p->on || (p->drawn && seconds_since(&p->last) < 0.1))
		return;
	part = part > 1 ? 1 : part;
	filled = (int)(part * 20);
	memset(bar, '=', (size_t)filled);
	memset(bar + filled, ' ', sizeof(bar) - 1 - (size_t)filled);
	bar[20] = '\0';
	seconds = seconds_since(&p->started);
	snprintf(line, sizeof(line), "%s  %3d%% [%s] %s of %s, %s/s", p->label, (int)(part * 100), bar,
		 format_size(done, a), format_size(total, b),
		 format_size(seconds > 0 ? (uint64_t)((double)done / seconds) : 0, c));
	draw(p, line);
}

void progress_text(struct progress *p, const char *text)
{
	char line[256];

	if (!p->on)
		return;
	snprintf(line, sizeof(line), "%s: %s", p->label, text);
	for (char *c = line; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = ' ';
	draw(p, line);
}

void progress_end(struct progress *p)
{
	if (p->drawn)
		fputs("\r\033[K", stderr);
	p->drawn = false;
}
