"""What linters do not know of private-cluster.yaml: versions, zones, types, who may dial whom, what is secret.

usage: check.py                 the demands
       check.py --script        prints the script of the outlet's first start, as the instance gets it
       check.py --units FOLDER  writes the systemd units of that script there

Each demand is also tried on a template that was broken for it, so that none is one that cannot fail.
"""

import pathlib
import re
import sys

import yaml

TEMPLATE = pathlib.Path(__file__).with_name("private-cluster.yaml")


class Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms: `!Ref A` as {"Ref": "A"}."""


def short_form(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix: value}


Loader.add_multi_constructor("!", short_form)


def statements(resource):
    """Statements of a role's own policies."""
    for policy in resource["Properties"].get("Policies", []):
        yield from policy["PolicyDocument"]["Statement"]


def problems(text):
    """Everything that is wrong with a template, in words."""
    template = yaml.load(text, Loader)
    parameters, resources = template["Parameters"], template["Resources"]
    found = []

    def demand(holds, words):
        if not holds:
            found.append(words)

    def of(kind):
        return {name: resource for name, resource in resources.items() if resource["Type"] == kind}

    for version in parameters["KafkaVersion"]["AllowedValues"]:
        numbers = re.fullmatch(r"(\d+)\.(\d+)\.x\.kraft", version)
        demand(numbers and (int(numbers[1]), int(numbers[2])) >= (3, 9), f"version {version}: not KRaft, or older than 3.9")

    cluster = resources["Cluster"]["Properties"]
    group = cluster["BrokerNodeGroupInfo"]
    zones = [resources[subnet["Ref"]]["Properties"]["AvailabilityZone"]["Select"][0] for subnet in group["ClientSubnets"]]
    demand(len(set(zones)) == len(zones) == 3, f"brokers are in zones {zones}, which are not three")
    counts = {int(number): entry["Count"] for number, entry in template["Mappings"]["Brokers"].items()}
    wanted = range(parameters["BrokersPerZone"]["MinValue"], parameters["BrokersPerZone"]["MaxValue"] + 1)
    demand(counts == {number: number * len(zones) for number in wanted}, f"{counts} is not the zones times {list(wanted)}")
    demand(all(kind.startswith("kafka.m7g.") for kind in parameters["BrokerType"]["AllowedValues"]), "a broker's type is none")
    settings = resources["Settings"]["Properties"]["ServerProperties"]
    for line in ["default.replication.factor=3", "min.insync.replicas=2", "auto.create.topics.enable=false"]:
        demand(line in settings.split(), f"the brokers' settings lack {line}")
    demand(group["ConnectivityInfo"]["PublicAccess"]["Type"] == "DISABLED", "the brokers are public")
    demand(cluster["ClientAuthentication"]["Unauthenticated"]["Enabled"] is False, "the brokers let in anybody")
    demand(cluster["EncryptionInfo"]["EncryptionInTransit"] == {"ClientBroker": "TLS", "InCluster": True}, "clear text")
    demand("LoggingInfo" in cluster, "the brokers do not log")

    for name, rule in of("AWS::EC2::SecurityGroupIngress").items():
        rule = rule["Properties"]
        demand(rule["GroupId"] == {"GetAtt": "BrokerGroup.GroupId"}, f"{name} lets somebody dial what is no broker")
        demand("SourceSecurityGroupId" in rule, f"{name} lets in addresses, not a group")
    for name, security in of("AWS::EC2::SecurityGroup").items():
        demand("SecurityGroupIngress" not in security["Properties"], f"{name} has rules for who may dial it")
        demand(security["Properties"].get("SecurityGroupEgress"), f"{name} may dial everybody")

    launch = resources["OutletTemplate"]["Properties"]["LaunchTemplateData"]
    arm = all(re.match(r"[tc]\dg[a-z]*\.", kind) for kind in parameters["OutletType"]["AllowedValues"])
    demand(arm and parameters["OutletImage"]["Default"].endswith("arm64"), "the outlet's types and image are not all arm64")
    demand("al2023" in parameters["OutletImage"]["Default"], "the outlet's image is not Amazon Linux 2023")
    demand(launch["MetadataOptions"]["HttpTokens"] == "required", "the metadata service answers without a token")
    demand("KeyName" not in launch, "the outlet has a key for SSH")
    demand(launch["NetworkInterfaces"][0]["AssociatePublicIpAddress"] is False, "the outlet has a public address")
    demand(all(disk["Ebs"]["Encrypted"] is True for disk in launch["BlockDeviceMappings"]), "the outlet's disk is readable")
    script = launch["UserData"]["Fn::Base64"]["Sub"]
    checked = script.find("sha256sum --check --strict")
    demand(0 <= checked < script.find("install -m 0755 /root/snowmelt"), "what is downloaded is installed unchecked")
    demand(not re.search(r"\|\s*(ba)?sh\b", script), "what is downloaded is run unread")
    demand(script.count("signal ") >= 3, "success or failure is not signalled")
    demand("NoEcho" not in text and not [name for name in parameters if "icket" in name], "the ticket is a parameter")
    outlet = resources["Outlet"]
    demand("ResourceSignal" in outlet.get("CreationPolicy", {}), "the stack does not wait for the outlet")
    sizes = [outlet["Properties"][name] for name in ("MinSize", "MaxSize", "DesiredCapacity")]
    demand(sizes == ["1", "1", "1"], f"outlets: {sizes}, not one")

    for name, role in of("AWS::IAM::Role").items():
        for statement in statements(role):
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            demand(not any("*" in action for action in actions), f"{name} may do {actions}")
            demand(statement["Resource"] != "*", f"{name} may do {actions} to everything")
    return found


BREAKS = [
    ("4.2.x.kraft]", "3.6.0]"), ("4.2.x.kraft]", "3.8.x.kraft]"), ("!Select [2, !GetAZs", "!Select [1, !GetAZs"),
    ('"2": {Count: 6}', '"2": {Count: 4}'), ("MaxValue: 5", "MaxValue: 6"), ("kafka.m7g.8xlarge]", "kafka.t3.small]"),
    ("min.insync.replicas=2", "min.insync.replicas=1"), ("auto.create.topics.enable=false", "auto.create.topics.enable=true"),
    ("Type: DISABLED", "Type: SERVICE_PROVIDED_EIPS"), ("Unauthenticated: {Enabled: false}", "Unauthenticated: {Enabled: true}"),
    ("ClientBroker: TLS,", "ClientBroker: TLS_PLAINTEXT,"), ("      LoggingInfo:", "      Nothing:"),
    ("SourceSecurityGroupId: !GetAtt OutletGroup.GroupId", "CidrIp: 10.0.0.0/8"),
    ("GroupId: !GetAtt BrokerGroup.GroupId\n      Description: Each other\n      IpProtocol: tcp\n      FromPort: 9092\n"
     "      ToPort: 9098\n      SourceSecurityGroupId", "GroupId: !GetAtt OutletGroup.GroupId\n      Description: Each other\n"
     "      IpProtocol: tcp\n      FromPort: 9092\n      ToPort: 9098\n      SourceSecurityGroupId"),
    ("t4g.medium", "t3.medium"), ("al2023-ami-kernel-default-arm64", "al2023-ami-kernel-default-x86_64"),
    ("HttpTokens: required", "HttpTokens: optional"), ("AssociatePublicIpAddress: false", "AssociatePublicIpAddress: true"),
    ("Encrypted: true", "Encrypted: false"), ("sha256sum --check --strict", "cat"), ("  OutletSecret:\n", "  Ticket:\n"),
    ("CreationPolicy: {Res", "Nothing: {Res"), ('MaxSize: "1"', 'MaxSize: "2"'),
    ("Action: kafka:GetBootstrapBrokers", "Action: kafka:*"), ("Resource: !Ref OutletSecret", 'Resource: "*"'),
]


def script(text):
    """The script with every reference filled in by its own name."""
    launch = yaml.load(text, Loader)["Resources"]["OutletTemplate"]["Properties"]["LaunchTemplateData"]
    filled = re.sub(r"\$\{([A-Za-z0-9:]+)\}", lambda found: found[1].replace(":", ""), launch["UserData"]["Fn::Base64"]["Sub"])
    return filled.replace("${!", "${")


def main():
    text = TEMPLATE.read_text()
    if sys.argv[1:2] == ["--script"]:
        print(script(text))
        return 0
    if sys.argv[1:2] == ["--units"]:
        for name, unit in re.findall(r"/etc/systemd/system/(\S+) <<'END'\n(.*?)\nEND\n", script(text), re.DOTALL):
            (pathlib.Path(sys.argv[2]) / name).write_text(unit + "\n")
        return 0
    found = problems(text)
    for words in found:
        print(f"{TEMPLATE.name}: {words}")
    for good, bad in BREAKS:
        if good not in text:
            print(f"{TEMPLATE.name}: {good!r} is not in it, so that breaking it proves nothing")
            found.append(good)
        elif not problems(text.replace(good, bad, 1)):
            print(f"{bad!r} in place of {good!r} is not noticed")
            found.append(bad)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
