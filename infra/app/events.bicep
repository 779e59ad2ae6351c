// Changes of VMs and ends of maintenance windows, delivered to the function resource_events.
// A system topic lives in its source's subscription, so this covers the app's own one; docs/deploy.md
// tells how others are added. Left out: dead-lettering of events, which would take a door into the
// closed storage account; Event Grid tries again for a day, and the scheduled scan catches up.
param name string
param tags object

@description('The function, which must exist: Event Grid asks it whether it agrees.')
param functionId string

@description('Maintenance configurations in this subscription: id and location of each.')
param maintenanceConfigurations array
param workspaceId string

var delivery = {
  endpointType: 'AzureFunction'
  properties: {
    resourceId: functionId
    maxEventsPerBatch: 1
  }
}
var retry = {
  maxDeliveryAttempts: 30
  eventTimeToLiveInMinutes: 1440
}

resource changes 'Microsoft.EventGrid/systemTopics@2025-02-15' = {
  name: name
  location: 'global'
  tags: tags
  properties: {
    source: subscription().id
    topicType: 'Microsoft.Resources.Subscriptions'
  }

  resource virtualMachines 'eventSubscriptions' = {
    name: 'virtual-machines'
    properties: {
      destination: delivery
      eventDeliverySchema: 'EventGridSchema'
      retryPolicy: retry
      filter: {
        includedEventTypes: [
          'Microsoft.Resources.ResourceActionSuccess'
          'Microsoft.Resources.ResourceDeleteSuccess'
          'Microsoft.Resources.ResourceWriteSuccess'
        ]
        advancedFilters: [
          {
            key: 'data.operationName'
            operatorType: 'StringIn'
            values: [
              'Microsoft.Compute/virtualMachines/delete'
              'Microsoft.Compute/virtualMachines/start/action'
              'Microsoft.Compute/virtualMachines/write'
            ]
          }
        ]
      }
    }
  }
}

resource windows 'Microsoft.EventGrid/systemTopics@2025-02-15' = [
  for (configuration, i) in maintenanceConfigurations: {
    name: '${name}-window-${i}'
    location: configuration.location
    tags: tags
    properties: {
      source: configuration.id
      topicType: 'Microsoft.Maintenance.MaintenanceConfigurations'
    }
  }
]

resource windowEnds 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = [
  for (configuration, i) in maintenanceConfigurations: {
    parent: windows[i]
    name: 'window-ends'
    properties: {
      destination: delivery
      eventDeliverySchema: 'EventGridSchema'
      retryPolicy: retry
      filter: {
        includedEventTypes: ['Microsoft.Maintenance.PostMaintenanceEvent']
      }
    }
  }
]

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: changes
  name: 'failures'
  properties: {
    workspaceId: workspaceId
    logs: [
      { category: 'DeliveryFailures', enabled: true }
    ]
  }
}
