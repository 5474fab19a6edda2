/*
 * What System.IO.Packaging takes for a part name, as its source has it: a name is
 * canonical if it is the same after "safe unescaping" and escaping again
 * (PackUriHelper.ValidatePartUri); what is not canonical .NET does not show.
 */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "blob/base/buf.h"
#include "pack/opc_name.h"
#include "pack/utf8.h"
#include "tests/unit/unit.h"

#define RESERVED ";/?:@&=+$,#[]!'()*"
#define HEX "0123456789ABCDEFabcdef"

static bool is_escape(const char *s)
{
	return *s == '%' && s[1] && strchr(HEX, s[1]) && s[2] && strchr(HEX, s[2]);
}

/* Uri.GetComponents(SafeUnescaped): all but reserved marks, '%', '\' and controls. */
static void safe_unescape(struct buf *out, const char *s)
{
	for (; *s; s++) {
		char pair[3] = { 0 }, c;

		if (is_escape(s)) {
			memcpy(pair, s + 1, 2);
			c = (char)strtoul(pair, NULL, 16);
			if ((unsigned char)c >= 0x20 && c != 0x7f && !strchr(RESERVED "%\\", c)) {
				buf_add(out, &c, 1);
				s += 2;
				continue;
			}
		}
		buf_add(out, s, 1);
	}
}

/* Uri.GetComponents(UriEscaped): escapes that are there stay. */
static void escape(struct buf *out, const char *s)
{
	for (; *s; s++)
		if ((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') ||
		    strchr("-._~" RESERVED, *s) || is_escape(s))
			buf_add(out, s, 1);
		else
			buf_addf(out, "%%%02X", (unsigned char)*s);
}

static bool is_canonical(const char *item)
{
	cleanup_buf struct buf plain = BUF_INIT(65536), again = BUF_INIT(65536);

	safe_unescape(&plain, item);
	escape(&again, buf_str(&plain));
	/* A query and a fragment are no part of a path. */
	return !strcasecmp(buf_str(&again), item) && !strpbrk(item, "?#") && *item != '/' &&
	       item[strlen(item) - 1] != '/' && utf8_valid(item, strlen(item));
}

static void encodes(void **state)
{
	static const char *const cases[][2] = {
		{ "a.txt", "a.txt" },
		{ "bin/run", "bin/run" },
		{ "a b/\xc3\xbc.txt", "a%20b/%C3%BC.txt" },
		{ "100%.txt", "100%25.txt" },
		{ "a%20b", "a%2520b" },
		{ "%5C", "%255C" },
		{ "a#b?c[1]{2}", "a%23b%3Fc%5B1%5D%7B2%7D" },
		{ "<>\"|^`", "%3C%3E%22%7C%5E%60" },
		{ "line\nfeed\x7f\x01", "line%0Afeed%7F%01" },
		{ "-._~!$&'()*+,;=:@z", "-._~!$&'()*+,;=:@z" },
		{ ".hidden/..x/...y", ".hidden/..x/...y" },
		{ "\xf0\x9f\x98\x80", "%F0%9F%98%80" },
		{ "x_rels/a.rels", "x_rels/a.rels" },
		{ "a/[Content_Types].xml", "a/%5BContent_Types%5D.xml" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err err = { .code = ERR_NONE };
		char *item = opc_name_encode(cases[i][0], &err), *back;

		assert_string_equal(item ? item : err.msg, cases[i][1]);
		assert_true(is_canonical(item));
		back = opc_name_decode(item, &err);
		assert_string_equal(back ? back : err.msg, cases[i][0]);
		free(back);
		free(item);
	}
}

/* Every byte, and then many of them. */
static void every_name_is_canonical(void **state)
{
	unsigned seed = 20261121;

	for (int i = 0; i < 20000; i++) {
		char name[40] = { 0 }, *item, *back;
		size_t len = i < 128 ? 1 : 1 + (size_t)rand_r(&seed) % 30;

		for (size_t k = 0; k < len; k++)
			name[k] = (char)(i < 128 ? i : rand_r(&seed) % 128);
		item = opc_name_encode(name, NULL);
		if (!item)
			continue;
		if (!is_canonical(item))
			fail_msg("'%s' is not canonical", item);
		back = opc_name_decode(item, NULL);
		assert_string_equal(back, name);
		free(back);
		free(item);
	}
}

static void refuses(void **state)
{
	static const char *const cases[][2] = {
		{ "", "empty part" },
		{ "/a", "empty part" },
		{ "a//b", "empty part" },
		{ "a/", "empty part" },
		{ ".", "'.' or '..'" },
		{ "a/../b", "'.' or '..'" },
		{ "a./b", "ends in a dot" },
		{ "a/b...", "ends in a dot" },
		{ "a\\b", "'\\'" },
		{ "a\xff", "not UTF-8" },
		{ "\xc0\xaf", "not UTF-8" },
		{ "\xed\xa0\x80", "not UTF-8" },
		{ "[Content_Types].xml", "keeps this name" },
		{ "[content_types].XML", "keeps this name" },
		{ "_rels/.rels", "keeps this name" },
		{ "x/_RELS/a.txt.rels", "keeps this name" },
		{ "package/services/metadata/core-properties/x.psmdcp", "keeps this name" },
		{ "a.txt/[0].piece", "keeps this name" },
		{ "a.txt/[12].last.piece", "keeps this name" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err err = { .code = ERR_NONE };

		assert_null(opc_name_encode(cases[i][0], &err));
		assert_int_equal(err.code, ERR_FORMAT);
		if (!strstr(err.msg, cases[i][1]))
			fail_msg("%s: %s", cases[i][0], err.msg);
	}
}

static void decodes(void **state)
{
	static const char *const good[][2] = {
		{ "a%20b", "a b" },
		{ "a%2520b", "a%20b" },       /* once */
		{ "%c3%bc", "\xc3\xbc" },
		{ "plain", "plain" },
		{ "%2e%2e/x", "../x" },       /* which pack/index.h refuses */
	};
	static const char *const bad[] = {
		"a%", "a%2", "a%zz", "%2Fetc", "a%2fb", "a%5Cb", "a%5cb", "a%00b", "%ff", "%c3", "%C0%AF",
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		char *path = opc_name_decode(good[i][0], NULL);

		assert_non_null(path);
		assert_string_equal(path, good[i][1]);
		free(path);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct err err = { .code = ERR_NONE };

		assert_null(opc_name_decode(bad[i], &err));
		assert_int_equal(err.code, ERR_FORMAT);
	}
}

static void knows_its_own(void **state)
{
	static const char *const own[] = {
		"[Content_Types].xml", "[CONTENT_TYPES].XML", "_rels/.rels", "word/_rels/document.xml.rels",
		"package/services/metadata/core-properties/0a.psmdcp", "x/[0].piece",
	};
	static const char *const others[] = {
		"Content_Types.xml", "a/[Content_Types].xml", "rels/.rels", "a_rels/x.rels", "_rels/x",
		"_rels", "a.rels", "package/services/x.psmdcp", "x.psmdcp", "x/[].piece", "x/[1].pieces", "[1]",
	};

	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		if (!opc_is_own(own[i]))
			fail_msg("%s is OPC's", own[i]);
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (opc_is_own(others[i]))
			fail_msg("%s is not OPC's", others[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encodes),
		cmocka_unit_test(every_name_is_canonical),
		cmocka_unit_test(refuses),
		cmocka_unit_test(decodes),
		cmocka_unit_test(knows_its_own),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
