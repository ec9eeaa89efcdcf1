"""What people and CI may do, one policy for each part of the way. Pure."""

from typing import Final

from packager.errors import ConfigError
from packager.policies.grammar import Policy, Statement
from packager.policies.job import PRINCIPAL, listing
from packager.policies.scope import Bucket, Repository, Scope

ARRIVING: Final = ".arriving"
"""As `packager.publishing.places` names the folder."""


def submitter(scope: Scope) -> Policy:
    """Let jobs be started, followed and cancelled, with this one role."""
    found = (
        ()
        if scope.application
        else (
            Statement(
                sid="FindApplications",
                actions=("emr-serverless:ListApplications",),
                resources=("*",),  # it takes no resource
            ),
        )
    )
    return Policy(
        statements=(
            *found,
            Statement(
                sid="StartJobs",
                actions=(
                    "emr-serverless:GetApplication",
                    "emr-serverless:ListJobRuns",
                    "emr-serverless:StartApplication",
                    "emr-serverless:StartJobRun",
                ),
                resources=(scope.application_arn,),
            ),
            Statement(
                sid="FollowJobs",
                actions=(
                    "emr-serverless:CancelJobRun",
                    "emr-serverless:GetDashboardForJobRun",
                    "emr-serverless:GetJobRun",
                    "emr-serverless:ListJobRunAttempts",
                    "emr-serverless:TagResource",
                ),
                resources=(f"{scope.application_arn}/jobruns/*",),
            ),
            # Whether EMR Serverless may be the role is looked at before a job is started.
            Statement(sid="SeeRuntimeRole", actions=("iam:GetRole",), resources=(scope.role_arn,)),
            Statement(
                sid="PassRuntimeRole",
                actions=("iam:PassRole",),
                resources=(scope.role_arn,),
                condition={"StringEquals": {"iam:PassedToService": PRINCIPAL}},
            ),
        )
    )


def deployer(scope: Scope) -> Policy:
    """Let the application be made, changed, started and stopped."""
    statements = [
        Statement(
            sid="MakeApplications",
            actions=("emr-serverless:CreateApplication", "emr-serverless:ListApplications"),
            resources=("*",),  # they take no resource
        ),
        Statement(
            sid="ChangeApplications",
            actions=(
                "emr-serverless:DeleteApplication",
                "emr-serverless:GetApplication",
                "emr-serverless:ListJobRuns",  # none is stopped under a run
                "emr-serverless:ListTagsForResource",
                "emr-serverless:StartApplication",
                "emr-serverless:StopApplication",
                "emr-serverless:TagResource",
                "emr-serverless:UntagResource",
                "emr-serverless:UpdateApplication",
            ),
            resources=(scope.application_arn,),
        ),
        # An account's first application needs it (UG: "Using service-linked roles").
        Statement(
            sid="MakeServiceLinkedRole",
            actions=("iam:CreateServiceLinkedRole",),
            resources=(_service_linked_role(scope),),
            condition={"StringEquals": {"iam:AWSServiceName": f"ops.{PRINCIPAL}"}},
        ),
    ]
    if scope.repository is not None:  # UG: who creates an application with an image
        statements.append(
            Statement(
                sid="ReadImage",
                actions=(
                    "ecr:BatchGetImage",
                    "ecr:DescribeImages",
                    "ecr:GetDownloadUrlForLayer",
                ),
                resources=(_repository_arn(scope, scope.repository),),
            )
        )
    return Policy(statements=tuple(statements))


def _service_linked_role(scope: Scope) -> str:
    return (
        f"arn:{scope.partition}:iam::{scope.account}:role/aws-service-role"
        f"/ops.{PRINCIPAL}/AWSServiceRoleForAmazonEMRServerless"
    )


def pusher(scope: Scope) -> Policy:
    """Let images be pushed to one repository that is there, as it was set up.

    ECR User Guide, "Pushing a private image", and what packager looks at before.
    """
    if scope.repository is None:
        raise ConfigError(
            "no repository is given",
            why="who pushes may push to one repository only",
            fix="name it: --repository NAME",
        )
    return Policy(
        statements=(
            Statement(
                sid="LogIn",
                actions=("ecr:GetAuthorizationToken",),
                resources=("*",),  # it takes no resource
            ),
            Statement(
                sid="PushImages",
                actions=(
                    "ecr:BatchCheckLayerAvailability",
                    "ecr:BatchGetImage",
                    "ecr:CompleteLayerUpload",
                    "ecr:DescribeImages",
                    "ecr:DescribeRepositories",
                    "ecr:GetLifecyclePolicy",
                    "ecr:InitiateLayerUpload",
                    "ecr:PutImage",
                    "ecr:UploadLayerPart",
                ),
                resources=(_repository_arn(scope, scope.repository),),
            ),
        )
    )


def _repository_arn(scope: Scope, repository: Repository) -> str:
    return (
        f"arn:{scope.partition}:ecr:{scope.region}:{repository.account}"
        f":repository/{repository.name}"
    )


def publisher(scope: Scope) -> Policy:
    """Let artifacts be uploaded below one prefix, in parts and again after a break."""
    if scope.s3 is None:
        raise ConfigError(
            "where to publish is not known",
            why="who publishes may write below one prefix only",
            fix="set s3-uri in [tool.packager], or give --s3-uri",
        )
    statements = [
        Statement(
            sid="UploadArtifacts",
            actions=(
                "s3:AbortMultipartUpload",
                "s3:GetObject",
                "s3:ListMultipartUploadParts",
                "s3:PutObject",
                "s3:PutObjectTagging",
            ),
            resources=(scope.object_arn(scope.s3),),
        ),
        # What goes up while it is packed is copied to its name, then removed where it arrived.
        Statement(
            sid="ClearArrivals",
            actions=("s3:DeleteObject", "s3:DeleteObjectVersion"),
            resources=(scope.object_arn(scope.s3, f"{ARRIVING}/*"),),
        ),
        listing(scope, "ListArtifacts", (scope.s3,)),
        Statement(
            sid="SeeBucket",
            actions=("s3:GetBucketLocation", "s3:ListBucketMultipartUploads"),
            resources=(scope.bucket_arn(scope.s3),),
        ),
    ]
    if scope.keys:  # S3 decrypts the parts of an upload to put them together
        statements.append(
            Statement(
                sid="UseKeys",
                actions=("kms:Decrypt", "kms:GenerateDataKey"),
                resources=scope.keys,
            )
        )
    return Policy(statements=tuple(statements))


def pruner(scope: Scope) -> Policy:
    """Let old versions be found and removed, and what still uses them be looked at."""
    if scope.s3 is None:
        raise ConfigError(
            "where it was published is not known",
            why="who prunes may remove below one prefix only",
            fix="set s3-uri in [tool.packager], or give --s3-uri",
        )
    statements = [
        Statement(
            sid="RemoveArtifacts",
            actions=("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject"),
            resources=(scope.object_arn(scope.s3),),
        ),
        listing(scope, "ListArtifacts", (scope.s3,)),
        Statement(
            sid="SeeBrokenUploads",
            actions=("s3:ListBucketMultipartUploads",),
            resources=(scope.bucket_arn(scope.s3),),
        ),
        Statement(
            sid="FindApplications",
            actions=("emr-serverless:ListApplications",),
            resources=("*",),  # it takes no resource
        ),
        # All of them, for any may use what is to be removed.
        Statement(
            sid="SeeWhatTheyUse",
            actions=(
                "emr-serverless:GetApplication",
                "emr-serverless:GetJobRun",
                "emr-serverless:ListJobRuns",
            ),
            resources=(scope.arn("emr-serverless", "/applications/*"),),
        ),
    ]
    if scope.repository is not None:
        statements += [
            Statement(
                sid="LogIn",
                actions=("ecr:GetAuthorizationToken",),
                resources=("*",),  # it takes no resource
            ),
            Statement(
                sid="RemoveImages",
                actions=(
                    "ecr:BatchDeleteImage",
                    "ecr:BatchGetImage",
                    "ecr:DescribeImages",
                    "ecr:DescribeRepositories",
                    "ecr:GetDownloadUrlForLayer",
                ),
                resources=(_repository_arn(scope, scope.repository),),
            ),
        ]
    if scope.keys:
        statements.append(Statement(sid="UseKeys", actions=("kms:Decrypt",), resources=scope.keys))
    return Policy(statements=tuple(statements))


def logs(scope: Scope) -> Policy:
    """Let the logs of jobs be read, wherever they are written to."""
    statements: list[Statement] = []
    if scope.logs is not None:
        below = f"applications/{scope.application or '*'}"
        # Listing is granted on the same keys as reading: `listing` would take the whole prefix.
        statements += [
            Statement(
                sid="ReadLogs",
                actions=("s3:GetObject",),
                resources=(scope.object_arn(scope.logs, f"{below}/*"),),
            ),
            Statement(
                sid="ListLogs",
                actions=("s3:ListBucket",),
                resources=(scope.bucket_arn(Bucket(name=scope.logs.name)),),
                condition={"StringLike": {"s3:prefix": scope.logs.key(f"{below}/*")}},
            ),
        ]
    if scope.log_group is not None:
        statements.append(
            Statement(
                sid="ReadLogStreams",
                actions=(
                    "logs:DescribeLogStreams",
                    "logs:FilterLogEvents",
                    "logs:GetLogEvents",
                ),
                resources=(
                    scope.arn("logs", f"log-group:{scope.log_group}"),
                    scope.arn("logs", f"log-group:{scope.log_group}:*"),
                ),
            )
        )
    statements.append(
        Statement(
            sid="OpenDashboards",
            actions=("emr-serverless:GetDashboardForJobRun", "emr-serverless:GetJobRun"),
            resources=(f"{scope.application_arn}/jobruns/*",),
        )
    )
    if scope.keys and scope.logs is not None:
        statements.append(Statement(sid="UseKeys", actions=("kms:Decrypt",), resources=scope.keys))
    return Policy(statements=tuple(statements))
