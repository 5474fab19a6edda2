#include <config.h>

#include "cli/holder.h"

#include <stdio.h>
#include <string.h>

bool holder_is_leased(const struct blob_props *props)
{
	return !strcmp(props->lease_state, "leased") || !strcmp(props->lease_state, "breaking");
}

bool holder_get(const struct blob_meta_list *meta, struct lease_holder *out)
{
	const char *text = blob_meta_get(meta, LEASE_HOLDER_META);

	return text && lease_holder_parse(text, out) == 0;
}

void holder_text(const struct blob_meta_list *meta, char out[HOLDER_TEXT_MAX])
{
	struct lease_holder holder;

	if (holder_get(meta, &holder))
		snprintf(out, HOLDER_TEXT_MAX, "mounted by %s on %s (pid %ld) since %s", holder.user,
			 holder.host, holder.pid, holder.since);
	else
		snprintf(out, HOLDER_TEXT_MAX, "it is leased, by somebody who left no name");
}
