/* upload_target.c - what is there already. */
#include <config.h>

#include <string.h>

#include "blob/base/log.h"
#include "cli/holder.h"
#include "cli/upload_job.h"

static int make_container(struct upload_job *job, struct err *err)
{
	if (blob_container_create(job->control, job->target.container, err) == 0) {
		log_info("made the container %s", job->target.container);
		return 0;
	}
	if (err->code == ERR_EXISTS)
		return 0;
	if (err->code == ERR_AUTH)
		err_append(err, "; the container %s does not exist, and making it needs the account's key or an account SAS",
			   job->target.container);
	return -1;
}

static int refuse_leased(const struct upload_job *job, const struct blob_props *props, struct err *err)
{
	char who[HOLDER_TEXT_MAX];

	holder_text(&props->meta, who);
	return err_set(err, ERR_LEASE_HELD, "%s/%s: is in use: %s; unmount it there first",
		       job->target.container, job->target.blob, who);
}

static int check_blob(const struct upload_job *job, const struct blob_props *props, struct err *err)
{
	if (holder_is_leased(props))
		return refuse_leased(job, props, err);
	if (props->type != job->type)
		return err_set(err, ERR_EXISTS,
			       "%s/%s: is there already, and of another type: the service can't replace it by a %s blob; delete it first, or choose --blob-type",
			       job->target.container, job->target.blob,
			       job->type == BLOB_TYPE_PAGE ? "page" : "block");
	return 0;
}

int upload_check_target(struct upload_job *job, struct err *err)
{
	struct blob_props props;
	int rc;

	if (blob_get_props(job->control, &job->target, &props, err) == 0) {
		rc = check_blob(job, &props, err);
		blob_props_free(&props);
		return rc;
	}
	if (err->code != ERR_NOT_FOUND)
		return -1;
	if (!strcmp(err->service_code, "ContainerNotFound"))
		return make_container(job, err);
	return 0;
}
