// Everything that the app needs in a subscription, and the app itself but for its code.
// Deployed by `azd up`, which fills main.parameters.json from its environment, or by
// `az deployment sub create` with a parameter file like those in golden/: docs/deploy.md tells of both.
targetScope = 'subscription'

import { alwaysReadyInstances, assessScope, maintenanceConfiguration, privateDnsZones, tagsOf } from 'app/types.bicep'

@description('The name of the environment; every resource is named after it.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('Where everything is deployed: a region with Flex Consumption.')
@allowed([
  'australiaeast'
  'australiasoutheast'
  'brazilsouth'
  'canadacentral'
  'centralindia'
  'centralus'
  'eastasia'
  'eastus'
  'eastus2'
  'francecentral'
  'germanywestcentral'
  'italynorth'
  'japaneast'
  'koreacentral'
  'northcentralus'
  'northeurope'
  'norwayeast'
  'southafricanorth'
  'southcentralus'
  'southeastasia'
  'southindia'
  'spaincentral'
  'swedencentral'
  'uaenorth'
  'uksouth'
  'ukwest'
  'westcentralus'
  'westeurope'
  'westus'
  'westus2'
  'westus3'
])
@metadata({ azd: { type: 'location' } })
param location string

@description('Tags that every resource gets.')
param tags tagsOf = {}

// ---- What may be assessed ----

@description('The subscriptions and resource groups whose VMs the app may assess. Empty: role assignments are left to somebody else, or to app/vm-management-group.bicep.')
param assessScopes assessScope[] = [
  {
    subscriptionId: subscription().subscriptionId
  }
]

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

@description('Hours without a completed assessment after which a VM has an alert; empty for never.')
param alertOverdueHours string = ''

@description('Names of up to five tags that alerts and outcomes carry, with commas between them.')
param alertTags string = ''

// ---- Who may send and receive ----

@description('Object ID of the Entra group that may send requests; empty for none.')
param senderGroupId string = ''

@description('Object ID of the Entra group that may receive outcomes and alerts; empty for none.')
param consumerGroupId string = ''

@description('Lets whoever deploys send requests and read outcomes, alerts and the tables.')
param deployerRoles bool = false

@description('Object ID of whoever deploys; azd knows it.')
param principalId string = deployer().objectId

@allowed([
  'ServicePrincipal'
  'User'
])
param principalType string = 'User'

// ---- Network ----

@description('Puts storage and Service Bus behind private endpoints, closed to the public network. It takes Service Bus Premium.')
param privateNetwork bool = false

@description('Empty: Premium with a private network, else Standard, which costs less and can be reached by whoever has a role. Standard with a private network leaves the bus open and closes storage.')
@allowed([
  ''
  'Premium'
  'Standard'
])
param serviceBusSku string = ''

@description('The virtual network, if one is made: a /24 at the least.')
param addressPrefix string = '10.40.0.0/24'

@description('A subnet for the app\'s instances that is there already, delegated to Microsoft.App/environments, by its resource ID; empty: one is made if the network is private.')
param appSubnetId string = ''

@description('A subnet for private endpoints that is there already, by its resource ID. It comes with appSubnetId if the network is private.')
param endpointSubnetId string = ''

@description('Private DNS zones that are there already.')
param existingZones privateDnsZones = {}

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

@description('Instances that are ready at all times, and paid for at all times.')
param alwaysReady alwaysReadyInstances[] = []

@description('Replaces instances one after the other when code or settings change, in place of all at once. Invocations that run then end in peace.')
param rollingUpdates bool = false

@description('Scales on the length of the queues, which takes the right to manage them; otherwise by trial.')
param scaleOnQueueLength bool = true

@description('The share of assessments whose traces are kept, from 0 to 1, as text. Outcomes and metrics are always whole.')
param traceRatio string = '1'

@description('A Log Analytics workspace that is there already, by its resource ID; empty: one is made.')
param logAnalyticsWorkspaceId string = ''

@description('Days that logs are kept, in a workspace that is made.')
@minValue(30)
@maxValue(730)
param retentionDays int = 30

@description('The most that a workspace that is made takes in a day, in GB; -1: no limit.')
param dailyQuotaGb int = -1

// ---- Events, alerts ----

@description('Subscribes the function resource_events to changes of VMs in this subscription. The function must have been deployed before.')
param subscribeEvents bool = false

@description('The Event Grid system topic of this subscription, where there is one already: Azure has one for each source. Its resource ID; empty: one is made.')
param systemTopicId string = ''

@description('Object ID of the system-assigned identity of that topic, which then writes events that can\'t be delivered into the app\'s storage; empty: they are lost.')
param systemTopicPrincipalId string = ''

@description('Maintenance configurations in this subscription, after whose windows VMs are assessed.')
param maintenanceConfigurations maintenanceConfiguration[] = []

@description('Resource IDs of the action groups that the alert rules call.')
param actionGroupIds string[] = []

// Whatever differs between two deployments of one name in two regions has a name of its own.
var token = toLower(uniqueString(subscription().id, environmentName, location))
// Known from the start, so that what-if sees through to what is made of them.
var names = {
  identity: 'id-patch-assessor-${token}'
  workspace: 'log-${token}'
  insights: 'appi-${token}'
  network: 'vnet-${token}'
  storage: 'st${token}'
  bus: 'sb-${token}'
  plan: 'plan-${token}'
  app: 'func-${token}'
  systemTopic: 'evgt-${token}'
}
var deadEventContainer = 'dead-events'
var allTags = union(tags, { 'azd-env-name': environmentName })
var bus = serviceBusSku == 'Premium' || (empty(serviceBusSku) && privateNetwork) ? 'Premium' : 'Standard'
var isBusPrivate = privateNetwork && bus == 'Premium'
var makesNetwork = privateNetwork && empty(appSubnetId)
var endpointSubnet = empty(appSubnetId) == empty(endpointSubnetId) || !privateNetwork
  ? endpointSubnetId
  : fail('A private network takes both appSubnetId and endpointSubnetId, or neither.')

// One deployment for each subscription, however many entries name it, in whatever case. An entry
// without resource groups stands for the whole subscription, whatever others say.
var assessed = map(union(map(assessScopes, each => toLower(each.subscriptionId)), []), id => {
  subscriptionId: id
  isWhole: !empty(filter(assessScopes, each => toLower(each.subscriptionId) == id && empty(each.?resourceGroups ?? [])))
  resourceGroups: union(
    flatten(map(
      filter(assessScopes, each => toLower(each.subscriptionId) == id),
      each => map(each.?resourceGroups ?? [], name => toLower(name))
    )),
    []
  )
})

var serviceBusZones = {
  AzureCloud: 'privatelink.servicebus.windows.net'
  AzureUSGovernment: 'privatelink.servicebus.usgovcloudapi.net'
  AzureChinaCloud: 'privatelink.servicebus.chinacloudapi.cn'
}

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: allTags
}

// Principals: a role assignment's name has the object ID of whom it is for in it, so that an identity
// that is made anew does not meet what its namesake has left behind. Azure makes the ID up, and so
// what-if can't name these assignments before the identity is there.
module identity 'app/identity.bicep' = {
  name: 'identity'
  scope: group
  params: {
    name: names.identity
    location: location
    tags: allTags
  }
}

module monitoring 'app/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    workspaceName: names.workspace
    insightsName: names.insights
    location: location
    tags: allTags
    existingWorkspaceId: logAnalyticsWorkspaceId
    retentionDays: retentionDays
    dailyQuotaGb: dailyQuotaGb
    #disable-next-line what-if-short-circuiting // see above: principals
    appPrincipalId: identity.outputs.principalId
  }
}

module network 'app/network.bicep' = if (makesNetwork) {
  name: 'network'
  scope: group
  params: {
    name: names.network
    location: location
    tags: allTags
    addressPrefix: addressPrefix
    appPrefix: cidrSubnet(addressPrefix, 25, 0)
    endpointPrefix: cidrSubnet(addressPrefix, 25, 1)
    workspaceId: monitoring.outputs.workspaceId
  }
}

module storage 'app/storage.bicep' = {
  name: 'storage'
  scope: group
  params: {
    name: names.storage
    location: location
    tags: allTags
    isPrivate: privateNetwork
    zoneRedundant: zoneRedundant
    deadEventContainer: subscribeEvents ? deadEventContainer : ''
    #disable-next-line what-if-short-circuiting // see above: principals
    appPrincipalId: identity.outputs.principalId
    deployerId: deployerRoles ? principalId : ''
    deployerType: principalType
    workspaceId: monitoring.outputs.workspaceId
  }
}

module serviceBus 'app/service-bus.bicep' = {
  name: 'service-bus'
  scope: group
  params: {
    name: names.bus
    location: location
    tags: allTags
    sku: bus
    isPrivate: isBusPrivate
    workspaceId: monitoring.outputs.workspaceId
  }
}

module serviceBusAccess 'app/service-bus-access.bicep' = {
  name: 'service-bus-access'
  scope: group
  params: {
    namespaceName: names.bus
    #disable-next-line what-if-short-circuiting // see above: principals
    appPrincipalId: identity.outputs.principalId
    scaleOnQueueLength: scaleOnQueueLength
    senderGroupId: senderGroupId
    consumerGroupId: consumerGroupId
    deployerId: deployerRoles ? principalId : ''
    deployerType: principalType
  }
  dependsOn: [serviceBus]
}

module blobEndpoint 'app/private-endpoint.bicep' = if (privateNetwork) {
  name: 'blob-endpoint'
  scope: group
  params: {
    name: 'pep-blob-${token}'
    location: location
    tags: allTags
    subnetId: makesNetwork ? network!.outputs.endpointSubnetId : endpointSubnet
    networkId: makesNetwork ? network!.outputs.id : split(endpointSubnet, '/subnets/')[0]
    targetId: storage.outputs.id
    groupId: 'blob'
    zoneName: 'privatelink.blob.${environment().suffixes.storage}'
    existingZoneId: existingZones.?blob ?? ''
  }
}

module tableEndpoint 'app/private-endpoint.bicep' = if (privateNetwork) {
  name: 'table-endpoint'
  scope: group
  params: {
    name: 'pep-table-${token}'
    location: location
    tags: allTags
    subnetId: makesNetwork ? network!.outputs.endpointSubnetId : endpointSubnet
    networkId: makesNetwork ? network!.outputs.id : split(endpointSubnet, '/subnets/')[0]
    targetId: storage.outputs.id
    groupId: 'table'
    zoneName: 'privatelink.table.${environment().suffixes.storage}'
    existingZoneId: existingZones.?table ?? ''
  }
}

module serviceBusEndpoint 'app/private-endpoint.bicep' = if (isBusPrivate) {
  name: 'service-bus-endpoint'
  scope: group
  params: {
    name: 'pep-service-bus-${token}'
    location: location
    tags: allTags
    subnetId: makesNetwork ? network!.outputs.endpointSubnetId : endpointSubnet
    networkId: makesNetwork ? network!.outputs.id : split(endpointSubnet, '/subnets/')[0]
    targetId: serviceBus.outputs.id
    groupId: 'namespace'
    zoneName: serviceBusZones[environment().name]
    existingZoneId: existingZones.?serviceBus ?? ''
  }
}

module functionApp 'app/function-app.bicep' = {
  name: 'function-app'
  scope: group
  params: {
    name: names.app
    planName: names.plan
    serviceName: 'assessor'
    location: location
    tags: allTags
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    insightsName: names.insights
    workspaceId: monitoring.outputs.workspaceId
    storageName: names.storage
    packageContainer: storage.outputs.packageContainer
    subnetId: makesNetwork ? network!.outputs.appSubnetId : appSubnetId
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    zoneRedundant: zoneRedundant
    alwaysReady: alwaysReady
    rollingUpdates: rollingUpdates
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
      ALERT_OVERDUE_HOURS: alertOverdueHours
      ALERT_TAGS: alertTags
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

module vmSubscriptions 'app/vm-subscription.bicep' = [
  for each in assessed: {
    name: 'vm-access-${token}'
    scope: subscription(each.subscriptionId)
    params: {
      #disable-next-line what-if-short-circuiting // see above: principals
      principalId: identity.outputs.principalId
      resourceGroups: each.isWhole ? [] : each.resourceGroups
    }
  }
]

module events 'app/events.bicep' = if (subscribeEvents) {
  name: 'events'
  scope: group
  params: {
    name: names.systemTopic
    tags: allTags
    functionId: '${functionApp.outputs.id}/functions/resource_events'
    existingTopicId: systemTopicId
    existingTopicPrincipalId: systemTopicPrincipalId
    maintenanceConfigurations: maintenanceConfigurations
    storageName: names.storage
    deadEventContainer: deadEventContainer
    workspaceId: monitoring.outputs.workspaceId
  }
}

module alerts 'app/alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    location: location
    tags: allTags
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
    tags: allTags
    workspaceId: monitoring.outputs.workspaceId
  }
}

// azd forgets an output at `azd down`. So SUBSCRIBE_EVENTS is one, for the next `azd up` begins without
// a function to subscribe; and the region is none, for it is asked for again otherwise.
output AZURE_TENANT_ID string = tenant().tenantId
output AZURE_RESOURCE_GROUP string = group.name
output AZURE_FUNCTION_NAME string = functionApp.outputs.name
output SERVICE_ASSESSOR_NAME string = functionApp.outputs.name
output SERVICE_BUS_NAMESPACE string = serviceBus.outputs.hostName
output SUBSCRIBE_EVENTS bool = subscribeEvents
output ASSESSOR_PRINCIPAL_ID string = identity.outputs.principalId
