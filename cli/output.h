/*
 * output.h - what people read: sizes with units, aligned tables, progress.
 */
#ifndef HPCPACK_CLI_OUTPUT_H
#define HPCPACK_CLI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <jansson.h>

/* "512 B", "1.5 KiB", "12.0 GiB". Returns out. */
#define FORMAT_SIZE_MAX 16
const char *format_size(uint64_t bytes, char out[FORMAT_SIZE_MAX]);

/* Text from elsewhere: what could steer the terminal becomes '?'. */
void print_text(FILE *out, const char *s);

/* Rows of equally many cells, printed in columns. */
#define TABLE_COLUMNS_MAX 16
struct table;
struct table *table_new(int columns);           /* NULL: out of memory */
int table_add(struct table *t, const char *const *cells);   /* copied; 0 or -1 */
void table_print(const struct table *t, FILE *out);
void table_free(struct table *t);

/* One document and a newline. */
void print_json(const json_t *document);

/* A line on stderr that is overwritten, on a terminal only. */
struct progress {
	bool on, drawn;
	const char *label;
	struct timespec started, last;
};
void progress_start(struct progress *p, const char *label, bool wanted);
void progress_bar(struct progress *p, uint64_t done, uint64_t total);
void progress_text(struct progress *p, const char *text);
void progress_end(struct progress *p);           /* the line is gone */

/* Seconds since then. */
double seconds_since(const struct timespec *then);

#endif
