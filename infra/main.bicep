// Everything that the app needs in a subscription, and the app itself but for its code.
// Deployed by `azd up`, or by `az deployment sub create`: docs/deploy.md tells of both.
targetScope = 'subscription'

@description('The name of the environment; every resource is named after it.')
@minLength(1)
@maxLength(32)
param environmentName string

@description('Where everything is deployed: a region with Flex Consumption.')
@minLength(1)
param location string

// ---- What may be assessed ----

@description('A subscription whose VMs may be assessed: all of them, or those in some resource groups.')
type assessScope = {
  subscriptionId: string
  resourceGroups: string[] // empty: the whole subscription
}

@description('The subscriptions and resource groups whose VMs the app may assess. Empty, with no management group: role assignments are left to somebody else.')
param assessScopes assessScope[] = [
  {
    subscriptionId: subscription().subscriptionId
    resourceGroups: []
  }
]

@description('A management group whose VMs the app may assess; empty for none.')
param assessManagementGroup string = ''

@description('ARM scopes that a request may name, with commas between them; empty: whatever the identity may touch.')
param allowedScopes string = ''

@description('When the scheduled scan runs, as NCRONTAB in UTC.')
param scanSchedule string = '0 0 2 * * *'

@description('ARM scopes that the scheduled scan covers, with commas between them; empty: no scheduled scan.')
param scanScopes string = ''

@description('Tags, key=value with commas between them, that a VM must have to be in the scheduled scan.')
param scanTags string = ''

// The next six are texts so that an empty one leaves the app its own default (docs/settings.md).
@description('Requests released a minute, per subscription and region.')
param scanPacePerMinute string = ''

@description('How long, in seconds, one invocation follows an operation.')
param assessHoldSeconds string = ''

@description('Minutes that an assessment is expected to take while nothing is known of its VM.')
param assessExpectedMinutes string = ''

@description('Minutes after which an assessment has failed.')
param assessDeadlineMinutes string = ''

@description('Seconds that an event about a VM waits, so that several become one assessment.')
param eventSettleSeconds string = ''

@description('Hours after which an alert that lasts fires again.')
param alertReminderHours string = ''

// ---- Who may send and receive ----

@description('Object ID of the Entra group that may send requests; empty for none.')
param senderGroupId string = ''

@description('Object ID of the Entra group that may receive outcomes and alerts; empty for none.')
param consumerGroupId string = ''

// ---- Network ----

@description('Puts storage and, on Premium, Service Bus behind private endpoints, closed to the public network.')
param privateNetwork bool = true

@description('Premium can be closed to the public network; Standard costs less and stays reachable by whoever has a role.')
@allowed([
  'Premium'
  'Standard'
])
param serviceBusSku string = 'Premium'

@description('The virtual network, if there is one: a /24 at the least.')
param addressPrefix string = '10.40.0.0/24'

// ---- Scale and cost ----

@description('Memory of an instance. An invocation waits on the network nearly all of its time.')
@allowed([
  512
  2048
  4096
])
param instanceMemoryMB int = 2048

@description('The most instances there may ever be: a bound on cost and on calls to ARM.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('Spreads instances and storage over zones, where the region has them.')
param zoneRedundant bool = false

@description('Scales on the length of the queues, which takes the right to manage them; otherwise by trial.')
param scaleOnQueueLength bool = true

@description('The share of assessments whose traces are kept, from 0 to 1, as text. Outcomes and metrics are always whole.')
param traceRatio string = '1'

@description('Days that logs are kept.')
@minValue(30)
@maxValue(730)
param retentionDays int = 30

@description('The most that the workspace takes in a day, in GB; -1: no limit.')
param dailyQuotaGb int = -1

// ---- Events, alerts ----

@description('Subscribes the function resource_events to changes of VMs in this subscription. The function must have been deployed before.')
param subscribeEvents bool = false

type maintenanceConfiguration = {
  id: string
  location: string
}

@description('Maintenance configurations in this subscription, after whose windows VMs are assessed.')
param maintenanceConfigurations maintenanceConfiguration[] = []

@description('Resource IDs of the action groups that the alert rules call.')
param actionGroupIds string[] = []

var tags = { 'azd-env-name': environmentName }
var token = toLower(uniqueString(subscription().id, environmentName, location))
// One truth: the local cloud, the emulator and the app's tests read the same file.
var entities = loadJsonContent('servicebus.json').UserConfig.Namespaces[0]

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

module identity 'app/identity.bicep' = {
  name: 'identity'
  scope: group
  params: {
    name: 'id-patch-assessor-${token}'
    location: location
    tags: tags
  }
}

module monitoring 'app/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    workspaceName: 'log-${token}'
    insightsName: 'appi-${token}'
    location: location
    tags: tags
    retentionDays: retentionDays
    dailyQuotaGb: dailyQuotaGb
    appPrincipalId: identity.outputs.principalId
  }
}

module network 'app/network.bicep' = if (privateNetwork) {
  name: 'network'
  scope: group
  params: {
    name: 'vnet-${token}'
    location: location
    tags: tags
    addressPrefix: addressPrefix
    appPrefix: cidrSubnet(addressPrefix, 25, 0)
    endpointPrefix: cidrSubnet(addressPrefix, 25, 1)
  }
}

module storage 'app/storage.bicep' = {
  name: 'storage'
  scope: group
  params: {
    name: 'st${token}'
    location: location
    tags: tags
    isPrivate: privateNetwork
    zoneRedundant: zoneRedundant
    appPrincipalId: identity.outputs.principalId
    workspaceId: monitoring.outputs.workspaceId
  }
}

module serviceBus 'app/service-bus.bicep' = {
  name: 'service-bus'
  scope: group
  params: {
    name: 'sb-${token}'
    location: location
    tags: tags
    sku: serviceBusSku
    isPrivate: privateNetwork && serviceBusSku == 'Premium'
    entities: entities
    workspaceId: monitoring.outputs.workspaceId
  }
}

module serviceBusAccess 'app/service-bus-access.bicep' = {
  name: 'service-bus-access'
  scope: group
  params: {
    namespaceName: serviceBus.outputs.name
    appPrincipalId: identity.outputs.principalId
    scaleOnQueueLength: scaleOnQueueLength
    senderGroupId: senderGroupId
    consumerGroupId: consumerGroupId
  }
}

module blobEndpoint 'app/private-endpoint.bicep' = if (privateNetwork) {
  name: 'blob-endpoint'
  scope: group
  params: {
    name: 'pep-blob-${token}'
    location: location
    tags: tags
    subnetId: network!.outputs.endpointSubnetId
    networkId: network!.outputs.id
    targetId: storage.outputs.id
    groupId: 'blob'
    zoneName: 'privatelink.blob.${environment().suffixes.storage}'
  }
}

module tableEndpoint 'app/private-endpoint.bicep' = if (privateNetwork) {
  name: 'table-endpoint'
  scope: group
  params: {
    name: 'pep-table-${token}'
    location: location
    tags: tags
    subnetId: network!.outputs.endpointSubnetId
    networkId: network!.outputs.id
    targetId: storage.outputs.id
    groupId: 'table'
    zoneName: 'privatelink.table.${environment().suffixes.storage}'
  }
}

module serviceBusEndpoint 'app/private-endpoint.bicep' = if (privateNetwork && serviceBusSku == 'Premium') {
  name: 'service-bus-endpoint'
  scope: group
  params: {
    name: 'pep-service-bus-${token}'
    location: location
    tags: tags
    subnetId: network!.outputs.endpointSubnetId
    networkId: network!.outputs.id
    targetId: serviceBus.outputs.id
    groupId: 'namespace'
    zoneName: 'privatelink.${join(skip(split(serviceBus.outputs.hostName, '.'), 1), '.')}'
  }
}

module functionApp 'app/function-app.bicep' = {
  name: 'function-app'
  scope: group
  params: {
    name: 'func-${token}'
    planName: 'plan-${token}'
    serviceName: 'assessor'
    location: location
    tags: tags
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    insightsName: monitoring.outputs.insightsName
    workspaceId: monitoring.outputs.workspaceId
    storageName: storage.outputs.name
    packageContainer: storage.outputs.packageContainer
    subnetId: privateNetwork ? network!.outputs.appSubnetId : ''
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    zoneRedundant: zoneRedundant
    traceRatio: traceRatio
    appSettings: {
      ServiceBus__fullyQualifiedNamespace: serviceBus.outputs.hostName
      REQUESTS_QUEUE: 'assessment-requests'
      IN_PROGRESS_QUEUE: 'assessments-in-progress'
      RESULTS_TOPIC: 'assessment-results'
      ALERTS_TOPIC: 'patch-alerts'
      POSTURE_TABLE: storage.outputs.postureTable
      SCAN_TABLE: storage.outputs.scanTable
      ALLOWED_SCOPES: allowedScopes
      SCAN_SCHEDULE: scanSchedule
      SCAN_SCOPES: scanScopes
      SCAN_TAGS: scanTags
      SCAN_PACE_PER_MINUTE: scanPacePerMinute
      ASSESS_HOLD_SECONDS: assessHoldSeconds
      ASSESS_EXPECTED_MINUTES: assessExpectedMinutes
      ASSESS_DEADLINE_MINUTES: assessDeadlineMinutes
      EVENT_SETTLE_SECONDS: eventSettleSeconds
      ALERT_REMINDER_HOURS: alertReminderHours
    }
  }
  // The host connects as soon as it starts, and says no more than "unauthorized" if it is too early.
  dependsOn: [
    serviceBusAccess
    blobEndpoint
    tableEndpoint
    serviceBusEndpoint
  ]
}

module vmManagementGroup 'app/vm-management-group.bicep' = if (!empty(assessManagementGroup)) {
  name: 'vm-access-${token}'
  scope: managementGroup(assessManagementGroup)
  params: {
    principalId: identity.outputs.principalId
  }
}

module vmSubscriptions 'app/vm-subscription.bicep' = [
  for assessed in assessScopes: {
    name: 'vm-access-${token}'
    scope: subscription(assessed.subscriptionId)
    params: {
      principalId: identity.outputs.principalId
      resourceGroups: assessed.resourceGroups
    }
  }
]

module events 'app/events.bicep' = if (subscribeEvents) {
  name: 'events'
  scope: group
  params: {
    name: 'evgt-${token}'
    tags: tags
    functionId: '${functionApp.outputs.id}/functions/resource_events'
    maintenanceConfigurations: maintenanceConfigurations
    workspaceId: monitoring.outputs.workspaceId
  }
}

module alerts 'app/alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    serviceBusId: serviceBus.outputs.id
    actionGroupIds: actionGroupIds
    nearlyFullBytes: serviceBus.outputs.nearlyFullBytes
  }
}

module workbook 'app/workbook.bicep' = {
  name: 'workbook'
  scope: group
  params: {
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
  }
}

output AZURE_LOCATION string = location
output AZURE_TENANT_ID string = tenant().tenantId
output AZURE_RESOURCE_GROUP string = group.name
output AZURE_FUNCTION_NAME string = functionApp.outputs.name
output SERVICE_BUS_NAMESPACE string = serviceBus.outputs.hostName
output ASSESSOR_PRINCIPAL_ID string = identity.outputs.principalId
