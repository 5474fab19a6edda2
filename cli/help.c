/* help.c - what is said about the options, from their table. */
#include <config.h>

#include <ctype.h>
#include <string.h>

#include "blob/base/buf.h"
#include "cli/options.h"

/* "-q, --quiet", "    --key KEY", "    --snapshot[=TIME]", "-o OPTION,..." */
static void spell(struct buf *out, const struct option_def *def)
{
	if (def->letter)
		buf_addf(out, "-%c%s", def->letter, def->name ? ", " : "");
	else
		buf_addstr(out, "    ");
	if (def->name)
		buf_addf(out, "--%s", def->name);
	if (def->kind == OPTION_VALUE)
		buf_addf(out, " %s", def->value);
	else if (def->kind == OPTION_OPTIONAL)
		buf_addf(out, "[=%s]", def->value);
}

static void print_options(FILE *out, const struct command *command)
{
	size_t width = 0;

	for (int print = 0; print < 2; print++)
		for (const enum option_id *id = command->options; *id != OPT_COUNT; id++) {
			cleanup_buf struct buf text = BUF_INIT(256);

			spell(&text, &option_table[*id]);
			if (print)
				fprintf(out, "  %-*s  %s\n", (int)width, buf_str(&text),
					option_table[*id].help);
			else if (text.len > width)
				width = text.len;
		}
}

/* "/relativePath:PATH"; of several names each. */
static void print_originals(FILE *out, const struct command *command)
{
	size_t column = 80;

	for (const enum option_id *id = command->options; *id != OPT_COUNT; id++) {
		const struct option_def *def = &option_table[*id];
		const char *name = def->original;

		while (name && *name) {
			cleanup_buf struct buf text = BUF_INIT(256);
			size_t len = strcspn(name, " ");

			buf_addf(&text, "/%.*s", (int)len, name);
			if (def->kind == OPTION_VALUE)
				buf_addf(&text, ":%s", def->value);
			if (column + text.len + 1 > 78) {
				fputs("\n ", out);
				column = 1;
			}
			fprintf(out, " %s", buf_str(&text));
			column += text.len + 1;
			name += len + strspn(name + len, " ");
		}
	}
	fputc('\n', out);
}

void options_help(FILE *out, const struct command *command, const char *program)
{
	const char *way = command->synopsis;

	while (*way) {
		size_t len = strcspn(way, "\n");

		fprintf(out, "%s %s %.*s\n", way == command->synopsis ? "usage:" : "      ", program,
			(int)len, way);
		way += len + (way[len] == '\n');
	}
	fprintf(out, "\n%c%s.\n\n", toupper((unsigned char)command->summary[0]), command->summary + 1);
	print_options(out, command);
	fputs("\nHPC Pack's own spelling works too:", out);
	print_originals(out, command);
}

static void dump_option(FILE *out, const struct command *command, const struct option_def *def)
{
	static const char *const kinds[] = { "flag", "value", "optional" };
	const char *name = def->original;

	fprintf(out, "%s\t%s%s\t", *command->name ? command->name : "-", def->name ? "--" : "-",
		def->name ? def->name : "");
	if (def->letter)
		fprintf(out, "-%c", def->letter);
	else
		fputc('-', out);
	fprintf(out, "\t%s\t%s\t", kinds[def->kind], def->secret ? "secret" : "plain");
	if (!name)
		fputc('-', out);
	while (name && *name) {
		size_t len = strcspn(name, " ");

		fprintf(out, "/%.*s", (int)len, name);
		name += len + strspn(name + len, " ");
		if (*name)
			fputc(',', out);
	}
	fputc('\n', out);
}

void options_dump(FILE *out, const struct command *const *commands)
{
	for (; *commands; commands++)
		for (const enum option_id *id = (*commands)->options; *id != OPT_COUNT; id++)
			dump_option(out, *commands, &option_table[*id]);
}
