# The commands of README.md, for a shell that works on one fleet: sourced by
# fleet/env.sh, which names it, in the folder of the project.

# Of this machine, as package.sh calls it.
case $(uname -m) in
    aarch64) arch=arm64 ;;
    *) arch=x86_64 ;;
esac

# What package.sh has written, to where machines fetch it.
upload() {
    aws s3 cp --recursive --only-show-errors out \
        "s3://$ARTIFACTS/releases/$(sed -n 's/^Release=//p' out/parameters)/"
}

# Makes the stack, or changes it. What is not given keeps its value.
#   deploy [Parameter=value ...]
deploy() {
    # shellcheck disable=SC2046 # a word for each parameter
    aws cloudformation deploy --stack-name "trawler-$ENVIRONMENT" \
        --template-file infra/trawler.yaml --s3-bucket "$ARTIFACTS" --s3-prefix templates \
        --capabilities CAPABILITY_IAM --no-fail-on-empty-changeset \
        --parameter-overrides "Environment=$ENVIRONMENT" "ArtifactBucket=$ARTIFACTS" $(cat out/parameters) "$@"
}

# Calls the schedule once, and prints what the tick did.
tick() {
    local failed
    failed=$(aws lambda invoke --function-name "$ENVIRONMENT-schedule" --cli-read-timeout 300 \
        --query FunctionError --output text tick.json) || return
    cat tick.json && echo
    [ "$failed" = None ]
}

# The parameters that name the release of the stack.
released() {
    aws cloudformation describe-stacks --stack-name "trawler-$ENVIRONMENT" --output text --query \
        'Stacks[0].Parameters[?contains(`["Release","ArmSha256","X86Sha256","ScheduleArchitecture"]`, ParameterKey)].[ParameterKey,ParameterValue]' |
        tr '\t' =
}

# Waits until a group has a machine, and asks for one where it has none.
#   awake crawl|image
awake() {
    local name=$ENVIRONMENT-$1 wanted working
    wanted=$(aws autoscaling describe-auto-scaling-groups --auto-scaling-group-names "$name" \
        --query 'AutoScalingGroups[0].DesiredCapacity' --output text) || return
    if [ "$wanted" = 0 ]; then
        aws autoscaling set-desired-capacity --auto-scaling-group-name "$name" --desired-capacity 1 || return
    fi
    for _ in $(seq 40); do
        working=$(aws autoscaling describe-auto-scaling-groups --auto-scaling-group-names "$name" \
            --query 'length(AutoScalingGroups[0].Instances[?LifecycleState==`InService`])' --output text) || return
        [ "$working" = 0 ] || return 0
        echo "$name: waiting for its first machine"
        sleep 15
    done
    echo "$name has had no machine for ten minutes; why, says" \
        "aws autoscaling describe-scaling-activities --auto-scaling-group-name $name --max-items 3" >&2
    return 1
}

# Puts the release in `out` in, where there are machines to try it on, and goes
# back when it does not work: CloudFormation by itself when a machine's worker
# does not start; this, when the schedule fails that did not fail before.
#   upgrade [Parameter=value ...]
upgrade() {
    local before worked=no
    before=$(released) && awake crawl && awake image || return
    if tick > /dev/null; then worked=yes; fi
    deploy "$@" || return
    if [ "$worked" = no ]; then
        echo "the schedule failed before too: whether it works with this release is not judged"
    elif ! tick; then
        echo "the schedule fails with this release: going back to" $before >&2
        # shellcheck disable=SC2086 # a word for each parameter
        deploy $before
        return 1
    fi
}
