// Changes of VMs and ends of maintenance windows, delivered to the function resource_events.
// A system topic lives in its source's subscription, so this covers the app's own one; docs/deploy.md
// tells how others are added.
import { maintenanceConfiguration, tagsOf } from 'types.bicep'

param name string
param tags tagsOf

@description('The function, which must exist: Event Grid asks it whether it agrees.')
param functionId string

@description('The system topic of this subscription, where there is one already; empty: one is made.')
param existingTopicId string
param existingTopicPrincipalId string
param maintenanceConfigurations maintenanceConfiguration[]

@description('The storage account, in this resource group, whose container takes events that can\'t be delivered.')
param storageName string
param deadEventContainer string
param workspaceId string

module changes 'event-source.bicep' = {
  name: 'events-changes'
  params: {
    name: name
    location: 'global'
    tags: tags
    source: subscription().id
    topicType: 'Microsoft.Resources.Subscriptions'
    existingTopicId: existingTopicId
    existingTopicPrincipalId: existingTopicPrincipalId
    functionId: functionId
    eventTypes: [
      'Microsoft.Resources.ResourceActionSuccess'
      'Microsoft.Resources.ResourceDeleteSuccess'
      'Microsoft.Resources.ResourceWriteSuccess'
    ]
    operations: [
      'Microsoft.Compute/virtualMachines/delete'
      'Microsoft.Compute/virtualMachines/start/action'
      'Microsoft.Compute/virtualMachines/write'
    ]
    storageName: storageName
    deadEventContainer: deadEventContainer
    workspaceId: workspaceId
  }
}

module windows 'event-source.bicep' = [
  for (configuration, i) in maintenanceConfigurations: {
    name: 'events-window-${i}'
    params: {
      name: '${name}-${uniqueString(toLower(configuration.id))}'
      location: configuration.location
      tags: tags
      source: configuration.id
      topicType: 'Microsoft.Maintenance.MaintenanceConfigurations'
      existingTopicId: configuration.?systemTopicId ?? ''
      existingTopicPrincipalId: configuration.?systemTopicPrincipalId ?? ''
      functionId: functionId
      eventTypes: ['Microsoft.Maintenance.PostMaintenanceEvent']
      operations: []
      storageName: storageName
      deadEventContainer: deadEventContainer
      workspaceId: workspaceId
    }
  }
]
