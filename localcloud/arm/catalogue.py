"""Operating systems of a fleet and the patches that such machines really have.

Windows patches are what Windows Update offers: a KB, a GUID, the classification strings that the
Windows extension writes, which are not those of the REST reference's example. Linux patches are
packages, with the ID that Microsoft's Linux extension builds (``name_version_distribution``), the
classifications it knows (Critical, Security, Other), and no KB, date or reboot behaviour.
"""

import uuid
from typing import Final

from localcloud.arm.model import Image, Patch

_NAMESPACE: Final = uuid.UUID("6f1f0e0a-4b66-4f0e-9a9a-3a3d6d7e9b10")


def _windows(year: str, version: str, gen: str) -> Image:
    sku = f"{year}-datacenter{gen}"
    return Image(
        "MicrosoftWindowsServer",
        "WindowsServer",
        sku,
        "Windows",
        f"Windows Server {year} Datacenter",
        version,
    )


WINDOWS_2016: Final = _windows("2016", "10.0.14393.7336", "-gensecond")
WINDOWS_2019: Final = _windows("2019", "10.0.17763.6293", "-gensecond")
WINDOWS_2022: Final = _windows("2022", "10.0.20348.2700", "-azure-edition")
WINDOWS_2025: Final = _windows("2025", "10.0.26100.1742", "-azure-edition")
UBUNTU_2004: Final = Image(
    "canonical", "0001-com-ubuntu-server-focal", "20_04-lts-gen2", "Linux", "ubuntu", "20.04"
)
UBUNTU_2204: Final = Image(
    "canonical", "0001-com-ubuntu-server-jammy", "22_04-lts-gen2", "Linux", "ubuntu", "22.04"
)
UBUNTU_2404: Final = Image("canonical", "ubuntu-24_04-lts", "server", "Linux", "ubuntu", "24.04")
RHEL_8: Final = Image("RedHat", "RHEL", "8-lvm-gen2", "Linux", "redhat", "8.10")
RHEL_9: Final = Image("RedHat", "RHEL", "9-lvm-gen2", "Linux", "redhat", "9.4")
SLES_15: Final = Image("SUSE", "sles-15-sp5", "gen2", "Linux", "suse", "15.5")
DEBIAN_12: Final = Image("Debian", "debian-12", "12-gen2", "Linux", "debian", "12.7")


def _kb(title: str, kb: str, classification: str, reboot: str, published: str) -> Patch:
    return Patch(
        patch_id=str(uuid.uuid5(_NAMESPACE, title)),
        name=title,
        classifications=(classification,),
        reboot_behavior=reboot,
        kb_id=kb,
        published=f"{published}T00:00:00Z",
    )


def _cumulative(product: str, kb: str, dotnet: str, dotnet_kb: str) -> tuple[Patch, ...]:
    return (
        _kb(
            f"2024-10 Cumulative Update for {product} for x64-based Systems (KB{kb})",
            kb,
            "Security",
            "CanRequestReboot",
            "2024-10-08",
        ),
        _kb(
            f"2024-10 Cumulative Update for .NET Framework {dotnet} for {product} for x64 "
            f"(KB{dotnet_kb})",
            dotnet_kb,
            "Security",
            "CanRequestReboot",
            "2024-10-08",
        ),
    )


_EVERY_WINDOWS: Final = (
    _kb(
        "Windows Malicious Software Removal Tool x64 - v5.129 (KB890830)",
        "890830",
        "UpdateRollUp",
        "CanRequestReboot",
        "2024-10-08",
    ),
    _kb(
        "Security Intelligence Update for Microsoft Defender Antivirus - KB2267602 "
        "(Version 1.419.386.0) - Current Channel (Broad)",
        "2267602",
        "Definition",
        "NeverReboots",
        "2024-10-11",
    ),
    _kb(
        "Update for Microsoft Defender Antivirus antimalware platform - KB4052623 "
        "(Version 4.18.24090.11) - Current Channel (Broad)",
        "4052623",
        "Definition",
        "NeverReboots",
        "2024-10-09",
    ),
    _kb(
        "Update for Windows Security platform - KB5007651 (Version 10.0.27703.1006)",
        "5007651",
        "Critical",
        "NeverReboots",
        "2024-09-24",
    ),
)
_SERVER_OS: Final = "Microsoft server operating system version"
_DEBIAN_SECURITY: Final = (
    ("libc6", "2.36-9+deb12u8", "Security"),
    ("openssl", "3.0.14-1~deb12u2", "Security"),
    ("libexpat1", "2.5.0-1+deb12u1", "Security"),
    ("linux-image-cloud-amd64", "6.1.112-1", "Security"),
    ("base-files", "12.4+deb12u7", "Other"),
    ("tzdata", "2024b-0+deb12u1", "Other"),
)
_PACKAGES: Final[dict[Image, tuple[tuple[str, str, str], ...]]] = {
    UBUNTU_2004: (
        ("linux-image-azure", "5.15.0.1074.83~20.04.1", "Security"),
        ("openssl", "1.1.1f-1ubuntu2.23", "Security"),
        ("libexpat1", "2.2.9-1ubuntu0.7", "Security"),
        ("python3.8", "3.8.10-0ubuntu1~20.04.12", "Security"),
        ("snapd", "2.65.3+20.04", "Other"),
        ("ubuntu-pro-client", "34~20.04", "Other"),
        ("walinuxagent", "2.2.46-0ubuntu1.5", "Other"),
    ),
    UBUNTU_2204: (
        ("linux-image-azure", "6.8.0-1017.20~22.04.1", "Security"),
        ("openssl", "3.0.2-0ubuntu1.18", "Security"),
        ("libssl3", "3.0.2-0ubuntu1.18", "Security"),
        ("openssh-server", "1:8.9p1-3ubuntu0.10", "Critical"),
        ("curl", "7.81.0-1ubuntu1.18", "Security"),
        ("vim", "2:8.2.3995-1ubuntu2.19", "Security"),
        ("cloud-init", "24.3.1-0ubuntu0~22.04.1", "Other"),
        ("apt", "2.4.13", "Other"),
    ),
    UBUNTU_2404: (
        ("openssh-server", "1:9.6p1-3ubuntu13.5", "Critical"),
        ("libarchive13t64", "3.7.2-2ubuntu0.3", "Security"),
        ("linux-image-azure", "6.8.0-1016.18", "Security"),
        ("systemd", "255.4-1ubuntu8.4", "Other"),
        ("netplan.io", "1.0.1-1ubuntu2~24.04.1", "Other"),
    ),
    RHEL_8: (
        ("kernel.x86_64", "4.18.0-553.22.1.el8_10", "Security"),
        ("expat.x86_64", "2.2.5-15.el8_10", "Security"),
        ("python3-setuptools.noarch", "39.2.0-8.el8_10", "Security"),
        ("sudo.x86_64", "1.9.5p2-1.el8_9", "Other"),
        ("tzdata.noarch", "2024b-1.el8", "Other"),
    ),
    RHEL_9: (
        ("kernel.x86_64", "5.14.0-427.40.1.el9_4", "Security"),
        ("openssl-libs.x86_64", "1:3.0.7-28.el9_4", "Security"),
        ("openssh.x86_64", "8.7p1-38.el9_4.4", "Critical"),
        ("selinux-policy.noarch", "38.1.35-2.el9_4.2", "Other"),
    ),
    SLES_15: (
        ("kernel-azure", "5.14.21-150500.33.69.1", "Security"),
        ("libopenssl3", "3.0.8-150500.5.48.1", "Security"),
        ("glibc", "2.31-150300.89.2", "Security"),
        ("python311-azure-agent", "2.9.1.1-150400.3.41.1", "Other"),
    ),
    DEBIAN_12: _DEBIAN_SECURITY,
}
_DISTRIBUTIONS: Final = {
    "ubuntu": "Ubuntu",
    "redhat": "Red Hat Enterprise Linux",
    "suse": "SLES",
    "debian": "Debian GNU/Linux",
}
_ROBOTICS: Final = [
    "action-msgs",
    "ament-cmake",
    "builtin-interfaces",
    "camera-info",
    "cartographer",
    "control-msgs",
    "cv-bridge",
    "diagnostic-updater",
    "fastrtps",
    "gazebo",
    "geometry-msgs",
    "image-transport",
    "interactive-markers",
    "joint-state",
    "kdl-parser",
    "laser-geometry",
    "launch-testing",
    "lifecycle-msgs",
    "map-server",
    "message-filters",
    "moveit-core",
    "nav2-bringup",
    "octomap",
    "pcl-conversions",
    "pluginlib",
    "rclcpp-components",
    "rclpy",
    "robot-localization",
    "rosbag2",
    "rqt-graph",
    "rviz-common",
    "sensor-msgs",
]
_PARTS: Final = [
    "core",
    "dev",
    "dbgsym",
    "plugins",
    "interfaces",
    "visualization",
    "controllers",
    "server",
    "client",
    "tools",
    "tests",
    "examples",
    "bridge",
    "planner",
    "runtime",
    "msgs",
    "utils",
    "common",
    "python",
    "cpp",
    "demos",
    "description",
    "simulation",
    "testutils",
]


def linux_patch(image: Image, name: str, version: str, classification: str) -> Patch:
    """Returns a package as the Linux extension reports it."""
    distribution = f"{_DISTRIBUTIONS[image.os_name]}_{image.os_version}"
    return Patch(
        patch_id=f"{name}_{version}_{distribution}",
        name=name,
        classifications=(classification,),
        reboot_behavior="Unknown",
        version=version,
    )


PATCHES: Final[dict[Image, tuple[Patch, ...]]] = {
    WINDOWS_2016: (
        *_cumulative("Windows Server 2016", "5044293", "4.8", "5044090"),
        _kb(
            "2024-07 Servicing Stack Update for Windows Server 2016 for x64-based Systems "
            "(KB5040562)",
            "5040562",
            "Security",
            "NeverReboots",
            "2024-07-09",
        ),
        _kb(
            "2020-01 Update for Windows Server 2016 for x64-based Systems (KB4494175)",
            "4494175",
            "Updates",
            "CanRequestReboot",
            "2020-05-19",
        ),
        _kb(
            "Microsoft .NET Framework 4.8 for Windows Server 2016 for x64 (KB4486129)",
            "4486129",
            "FeaturePack",
            "CanRequestReboot",
            "2019-08-13",
        ),
        *_EVERY_WINDOWS,
    ),
    WINDOWS_2019: (
        *_cumulative("Windows Server 2019", "5044277", "3.5, 4.7.2 and 4.8", "5044021"),
        _kb(
            "2021-01 Update for Windows Server 2019 for x64-based Systems (KB4589208)",
            "4589208",
            "Updates",
            "CanRequestReboot",
            "2021-01-19",
        ),
        *_EVERY_WINDOWS,
    ),
    WINDOWS_2022: (
        *_cumulative(f"{_SERVER_OS} 21H2", "5044281", "3.5, 4.8 and 4.8.1", "5044028"),
        *_EVERY_WINDOWS,
    ),
    WINDOWS_2025: (
        *_cumulative(f"{_SERVER_OS} 24H2", "5044284", "3.5 and 4.8.1", "5044030"),
        *_EVERY_WINDOWS,
    ),
    **{
        image: tuple(linux_patch(image, *package) for package in packages)
        for image, packages in _PACKAGES.items()
    },
}


def robotics_patches(image: Image) -> tuple[Patch, ...]:
    """Returns 768 packages of a robotics workstation: more than one message can hold."""
    return tuple(
        linux_patch(
            image,
            f"ros-humble-{area}-{part}",
            f"{1 + index % 4}.{index % 17}.{place}-1{image.sku.partition('-')[0]}.20240919.211905",
            "Security" if (index + place) % 9 == 0 else "Other",
        )
        for index, area in enumerate(_ROBOTICS)
        for place, part in enumerate(_PARTS)
    )
