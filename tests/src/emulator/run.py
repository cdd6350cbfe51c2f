"""Runs `main` of an emulator's module until standard input ends.

The test holds the other end of the pipe: it closes with the test's process,
however that ends, and the emulator ends with it.
"""

import importlib
import os
import sys
import threading


def end_with_the_test():
    while os.read(0, 4096):
        pass
    os._exit(0)


def checksums_in_c():
    """MiniStack computes CRC32C in Python, 0.2 s of its only thread for a MiB:
    a few large uploads and every other test waits beyond its time-outs."""
    import google_crc32c
    from ministack.services import s3

    check = b"123456789"
    assert s3._crc32c(check) == google_crc32c.value(check)
    s3._crc32c = google_crc32c.value


# What MiniStack's CloudFormation does not know, of what our template has. The
# rest of the template is made all the same, and can refer to these.
ACKNOWLEDGED = [
    "AWS::Budgets::Budget",
    "AWS::EC2::EIP",
    "AWS::EC2::EIPAssociation",
    "AWS::EC2::Instance",
    "AWS::EC2::NetworkAcl",
    "AWS::EC2::NetworkAclEntry",
    "AWS::EC2::SubnetNetworkAclAssociation",
]


def acknowledge_types():
    """They get a name and nothing else."""
    from ministack.services.cloudformation import provisioners

    def create(logical_id, props, stack_name):
        name = f"{stack_name}-{logical_id}"
        return name, {"AllocationId": name, "PrivateIp": "10.0.0.1"}

    for kind in ACKNOWLEDGED:
        assert kind not in provisioners._RESOURCE_HANDLERS, kind
        provisioners._RESOURCE_HANDLERS[kind] = {
            "create": create,
            "update": lambda physical_id, *_, **__: (physical_id, {}),
            "delete": lambda *_: None,
        }


def alarms_on_math():
    """MiniStack has no alarms on metric math; these get a name as well."""
    from ministack.services.cloudformation import provisioners

    alarm = provisioners._RESOURCE_HANDLERS["AWS::CloudWatch::Alarm"]
    create, update, delete = alarm["create"], alarm["update"], alarm["delete"]
    named = set()

    def create_or_name(logical_id, props, stack_name):
        if "Metrics" not in props:
            return create(logical_id, props, stack_name)
        name = f"{stack_name}-{logical_id}"
        named.add(name)
        return name, {"Arn": f"arn:aws:cloudwatch:eu-west-1:000000000000:alarm:{name}"}

    def update_or_pass(physical_id, *rest, **more):
        if physical_id in named:
            return physical_id, {}
        return update(physical_id, *rest, **more)

    alarm["create"], alarm["update"] = create_or_name, update_or_pass
    alarm["delete"] = lambda name, *rest: None if name in named else delete(name, *rest)


def subnets_tell_their_block():
    """As AWS; MiniStack keeps it to itself."""
    from ministack.services.cloudformation import provisioners

    subnet = provisioners._RESOURCE_HANDLERS["AWS::EC2::Subnet"]
    create = subnet["create"]

    def create_and_tell(logical_id, props, stack_name):
        name, attributes = create(logical_id, props, stack_name)
        assert "CidrBlock" not in attributes
        return name, {**attributes, "CidrBlock": props["CidrBlock"]}

    subnet["create"] = create_and_tell


# An image that moto knows too.
IMAGE = "ami-12c6146b"
IMAGES = "/aws/service/ami-amazon-linux-latest/"


def public_images():
    """Every region has these parameters; nobody can put them."""
    from ministack.services import ssm

    found = ssm.resolve_parameter_value

    def resolve(name):
        return IMAGE if name.startswith(IMAGES) else found(name)

    ssm.resolve_parameter_value = resolve


def hooks_without_waiting():
    """Moto keeps hooks, lets no instance wait for them and does not know the
    call that ends the wait. As AWS, it says that nobody waits."""
    from moto.autoscaling.exceptions import ValidationError
    from moto.autoscaling.responses import AutoScalingResponse

    def complete_lifecycle_action(self):
        instance = self._get_param("InstanceId")
        raise ValidationError(
            f"No active Lifecycle Action found with instance ID {instance}"
        )

    assert not hasattr(AutoScalingResponse, "complete_lifecycle_action")
    AutoScalingResponse.complete_lifecycle_action = complete_lifecycle_action


threading.Thread(target=end_with_the_test, daemon=True).start()
module = sys.argv[1]
if module == "ministack.app":
    checksums_in_c()
    acknowledge_types()
    alarms_on_math()
    subnets_tell_their_block()
    public_images()
if module == "moto.server":
    hooks_without_waiting()
sys.argv = sys.argv[1:]
sys.exit(importlib.import_module(module).main())
